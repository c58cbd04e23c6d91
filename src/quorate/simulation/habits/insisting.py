"""The end of a habit: what has to go through once nothing goes wrong any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from quorate.simulation.workload import TROUBLE, Habits

Result = TypeVar("Result")
AGAIN_SECONDS: Final = 0.1


async def insist(ask: Callable[[], Awaitable[Result]]) -> Result:
    """Ask until there is an answer."""
    while True:
        try:
            return await ask()
        except TROUBLE:
            await asyncio.sleep(AGAIN_SECONDS)


async def finish(habits: Habits, name: str, words: str, last: Awaitable[object]) -> None:
    """Do the last thing; a run is not over before, and says in `words` what was missing."""
    waits_for = [words]
    habits.pending[name] = lambda: "".join(waits_for)
    await last
    waits_for.clear()

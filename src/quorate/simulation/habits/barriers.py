"""A barrier: whoever comes while it is up waits until it is lifted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from quorate.client.asynchronous import AsyncClient
from quorate.recipes import Barrier
from quorate.simulation.checkers.barriers import BARRIER, LIFT, RAISE, WAIT
from quorate.simulation.habits.insisting import finish, insist
from quorate.simulation.scheduler import SECOND
from quorate.simulation.workload import TROUBLE, Habits

ROUND_NS: Final = 3 * SECOND


async def guard(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Raise the barrier of the hour, lift it, or wait before it."""
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(2.0))
        caller = _Caller(habits, client, name, f"{BARRIER}{habits.scheduler.now // ROUND_NS}")
        call = chance.choice((caller.raise_, caller.raise_, caller.lift, caller.wait, caller.wait))
        with suppress(*TROUBLE):
            async with asyncio.timeout(chance.choice((0.3, 3.0, 6.0))):
                await call()
    last = _Caller(habits, client, name, f"{BARRIER}last")
    await insist(last.raise_)
    both = asyncio.gather(insist(last.lift), insist(last.wait))
    await finish(habits, name, "still waits before the last barrier", both)


class _Caller:
    """One client's calls of one barrier."""

    def __init__(self, habits: Habits, client: AsyncClient, name: str, recipe: str) -> None:
        self._habits = habits
        self._barrier: Barrier = client.barrier(recipe)
        self._name = name
        self._recipe = recipe

    async def raise_(self) -> None:
        with self._habits.calling(self._name, self._recipe, RAISE):
            await self._barrier.raise_()

    async def lift(self) -> None:
        with self._habits.calling(self._name, self._recipe, LIFT):
            await self._barrier.lift()

    async def wait(self) -> None:
        with self._habits.calling(self._name, self._recipe, WAIT):
            await self._barrier.wait()

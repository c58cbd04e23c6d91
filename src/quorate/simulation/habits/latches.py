"""A latch: whoever waits comes through once it was counted down, and not before."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from quorate.client.asynchronous import AsyncClient
from quorate.recipes import Latch
from quorate.simulation.checkers.latches import COUNT, COUNT_DOWN, LATCH, WAIT
from quorate.simulation.evidence import Outcome
from quorate.simulation.habits.insisting import finish, insist
from quorate.simulation.scheduler import SECOND
from quorate.simulation.workload import TROUBLE, Habits

ROUND_NS: Final = 4 * SECOND


async def opener(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Count down the latch of the hour, or wait for it."""
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(1.5))
        caller = _Caller(habits, client, name, f"{LATCH}{habits.scheduler.now // ROUND_NS}")
        call = chance.choice((caller.count_down, caller.wait))
        with suppress(*TROUBLE):
            async with asyncio.timeout(chance.choice((0.3, 3.0, 10.0))):
                await call()
    last = _Caller(habits, client, name, f"{LATCH}last")
    both = asyncio.gather(last.open(), insist(last.wait))
    await finish(habits, name, "still waits for the last latch", both)


class _Caller:
    """One client's calls of one latch."""

    def __init__(self, habits: Habits, client: AsyncClient, name: str, recipe: str) -> None:
        self._habits = habits
        self._latch: Latch = client.latch(recipe, COUNT)
        self._name = name
        self._recipe = recipe

    async def count_down(self) -> int:
        with self._habits.calling(self._name, self._recipe, COUNT_DOWN) as call:
            call.number = await self._latch.count_down()
        return call.number

    async def wait(self) -> None:
        with self._habits.calling(self._name, self._recipe, WAIT):
            await self._latch.wait()

    async def open(self) -> None:
        """Count down until somebody was told that none is left; more would wake who slept on."""
        while not any(
            call.recipe == self._recipe and call.verb == COUNT_DOWN and not call.number
            for call in self._habits.evidence.calls
            if call.outcome is Outcome.OK
        ):
            await insist(self.count_down)

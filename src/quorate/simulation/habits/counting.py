"""A counter and a sequence: each count counted once, no id given twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from quorate.client.asynchronous import AsyncClient
from quorate.simulation.checkers.counting import ADD, COUNTER, GET, NEXT, SEQUENCE
from quorate.simulation.workload import TROUBLE, Habits


async def teller(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Count, look at the number, and take ids, sometimes several at once."""
    counter = client.counter(COUNTER)
    ids = client.sequence(SEQUENCE, batch=chance.choice((1, 3, 10)))
    calls: tuple[tuple[str, str, Callable[[], Awaitable[int]]], ...] = (
        (COUNTER, ADD, counter.add),
        (COUNTER, ADD, counter.add),
        (COUNTER, GET, counter.get),
        (SEQUENCE, NEXT, ids.next),
        (SEQUENCE, NEXT, ids.next),
    )

    async def call() -> None:
        recipe, verb, ask = chance.choice(calls)
        patience = chance.choice((0.1, 20.0, 20.0))
        with suppress(*TROUBLE):
            async with asyncio.timeout(patience):
                with habits.calling(name, recipe, verb) as noted:
                    noted.number = await ask()

    while habits.go_on():
        await asyncio.sleep(chance.expovariate(3.0))
        await asyncio.gather(*(call() for _ in range(chance.choice((1, 1, 1, 3)))))

"""What clients do with the recipes beyond the lock: each habit leaves evidence of its promise."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from quorate.client.asynchronous import AsyncClient
from quorate.errors import LockError, LockLost, OutcomeUnknown, QuorateError
from quorate.recipes import Claim
from quorate.simulation.checkers.shares import ELECTION, READ, SEMAPHORE, WRITE
from quorate.simulation.evidence import ElementLog, HoldLog, Outcome
from quorate.simulation.workload import Habit, Habits, register, watcher

PERMITS: Final = 2
TTL_SECONDS: Final = 2.0


async def sharer(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Hold a permit, half of a read-write lock, or an office, for a while each."""
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(1.0))
        kind = chance.choice((SEMAPHORE, READ, READ, WRITE, ELECTION))
        try:
            async with asyncio.timeout(chance.choice((0.3, 3.0, 20.0))):
                await _hold(habits, name, f"{kind}a", _claim(client, kind), chance)
        except (QuorateError, TimeoutError):
            continue


def _claim(client: AsyncClient, kind: str) -> Claim:
    if kind == SEMAPHORE:
        return client.semaphore("semaphore", PERMITS, ttl=TTL_SECONDS)
    if kind == ELECTION:
        return client.election("election", "me", ttl=TTL_SECONDS)
    if kind == READ:
        return client.read_lock("rw", ttl=TTL_SECONDS)
    return client.write_lock("rw", ttl=TTL_SECONDS)


async def _hold(habits: Habits, name: str, lock: str, claim: Claim, chance: Random) -> None:
    async with claim as held:
        hold = HoldLog(name, lock, held.token, held.key, [])
        habits.evidence.shares.append(hold)
        for _ in range(chance.choice((1, 2, 3, 20))):
            held.check()
            hold.accesses.append(habits.scheduler.now)
            await asyncio.sleep(chance.expovariate(5.0))


async def producer(habits: Habits, client: AsyncClient, _name: str, chance: Random) -> None:
    """Put elements into the queue."""
    queue = client.queue("queue", ttl=TTL_SECONDS)
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(3.0))
        element = ElementLog(habits.value())
        habits.evidence.elements.append(element)
        try:
            await queue.put(element.value, priority=chance.randrange(3))
        except OutcomeUnknown:
            continue
        except QuorateError:
            element.put = Outcome.FAILED
        else:
            element.put = Outcome.OK


async def consumer(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Take elements and finish them, unless something comes between."""
    queue = client.queue("queue", ttl=TTL_SECONDS)
    while habits.go_on():
        element: ElementLog | None = None
        try:
            async with asyncio.timeout(chance.choice((1.0, 20.0))), queue.take() as taken:
                element = next(
                    each for each in habits.evidence.elements if each.value == taken.value
                )
                # Until the end is known it may have gone either way.
                element.doubtful = True
                await asyncio.sleep(chance.expovariate(5.0))
                taken.check()
        except (LockLost, LockError):
            continue
        except (QuorateError, TimeoutError):
            await asyncio.sleep(0.1)
        else:
            element.finished.append(name)


GATHERINGS: Final[tuple[Habit, ...]] = (
    sharer,
    sharer,
    sharer,
    sharer,
    producer,
    consumer,
    consumer,
    register,
    watcher,
)
"""One client each."""

"""A re-entrant lock: one owner at a time, however often it takes the lock."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from quorate.client.asynchronous import AsyncClient
from quorate.recipes import HeldLock
from quorate.simulation.checkers.shares import REENTRANT
from quorate.simulation.evidence import HoldLog
from quorate.simulation.workload import LOCKS, TROUBLE, Habits

TTL_SECONDS: Final = 2.0


async def nester(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Take the lock as two owners, and each of them a few times over."""

    async def use(held: HeldLock, hold: HoldLog) -> None:
        hold.nested.append(held.token)
        for _ in range(chance.choice((1, 2, 8))):
            held.check()
            hold.accesses.append(habits.scheduler.now)
            await asyncio.sleep(chance.expovariate(8.0))

    async def nest() -> None:
        lock_name = chance.choice(LOCKS)
        lock = client.reentrant_lock(lock_name, ttl=TTL_SECONDS)
        async with lock as outer:
            hold = HoldLog(name, f"{REENTRANT}{lock_name}", outer.token, outer.key, [])
            habits.evidence.shares.append(hold)
            await use(outer, hold)
            async with client.reentrant_lock(lock_name, ttl=TTL_SECONDS) as inner:
                await use(inner, hold)
                once_more = await lock.acquire()
                try:
                    await use(once_more, hold)
                finally:
                    await lock.release()
                await use(inner, hold)
            await use(outer, hold)

    async def owner() -> None:
        while habits.go_on():
            await asyncio.sleep(chance.expovariate(1.0))
            with suppress(*TROUBLE):
                async with asyncio.timeout(chance.choice((0.5, 3.0, 20.0))):
                    await nest()

    await asyncio.gather(owner(), owner())

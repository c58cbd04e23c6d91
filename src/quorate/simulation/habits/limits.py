"""A rate limiter that clients of different wall clocks share."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

from quorate.client.asynchronous import AsyncClient
from quorate.errors import OutcomeUnknown
from quorate.recipes import RateLimiter
from quorate.simulation.checkers.limits import BURST, LIMITER, RATE
from quorate.simulation.evidence import GrantLog, Outcome
from quorate.simulation.scheduler import MILLISECOND, SECOND
from quorate.simulation.workload import TROUBLE, Habits


async def spender(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Take tokens with more or less patience, while one's wall clock jumps now and then."""
    limiter = client.rate_limiter(LIMITER, RATE, BURST)
    clock = habits.processes[name].clock
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(3.0))
        if chance.random() < 0.1:
            clock.wall_offset_ns += chance.randrange(-2000, 2000) * MILLISECOND
        patience = chance.choice((0, 0, SECOND, None))
        tokens = chance.randrange(1, BURST + 1)
        grant = GrantLog(name, tokens, patience, habits.scheduler.now, clock.wall())
        habits.evidence.grants.append(grant)
        outcome = Outcome.UNKNOWN
        with suppress(*TROUBLE):
            async with asyncio.timeout(chance.choice((0.2, 5.0, 20.0))):
                outcome = await _took(limiter, tokens, patience)
        grant.outcome = outcome
        if outcome is not Outcome.UNKNOWN:
            grant.returned, grant.wall_after = habits.scheduler.now, clock.wall()


async def _took(limiter: RateLimiter, tokens: int, patience: int | None) -> Outcome:
    try:
        if patience == 0:
            return Outcome.OK if await limiter.try_acquire(tokens) else Outcome.FAILED
        await limiter.acquire(tokens, timeout=None if patience is None else patience / SECOND)
    except OutcomeUnknown:
        return Outcome.UNKNOWN
    except TROUBLE:
        return Outcome.FAILED
    return Outcome.OK

"""A double barrier: parties that enter together and leave together."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from quorate.client.asynchronous import AsyncClient
from quorate.recipes import DoubleBarrier
from quorate.simulation.checkers.meetings import PARTIES
from quorate.simulation.evidence import PartyLog
from quorate.simulation.habits.insisting import insist
from quorate.simulation.scheduler import SECOND
from quorate.simulation.workload import TROUBLE, Habits

ROUND_NS: Final = 4 * SECOND
TTL_SECONDS: Final = 2.0
TRIES: Final = 2


async def party(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Attend each meeting once, unless the others don't come in time."""
    leaving: dict[str, None] = {}
    habits.pending[name] = lambda: "".join(f"can't leave {meeting}" for meeting in leaving)
    attended = -1
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(3.0))
        number = habits.scheduler.now // ROUND_NS
        if number == attended:
            continue
        attended = number
        log = PartyLog(name, f"meeting/{number}", habits.scheduler.now)
        habits.evidence.parties.append(log)
        with suppress(*TROUBLE):
            # A lock that nobody else wants stands on the party's own lease, and proves it.
            proof = client.lock(f"proof/{habits.value().decode()}", ttl=TTL_SECONDS)
            await proof.acquire(timeout=5.0)
            meeting = client.double_barrier(log.meeting, PARTIES, ttl=TTL_SECONDS)
            await _enter(meeting, chance)
            log.entered = habits.scheduler.now
            for _ in range(chance.choice((1, 3, 10))):
                await asyncio.sleep(chance.expovariate(5.0))
                if proof.held is not None and not proof.held.lost:
                    log.proven = habits.scheduler.now
            log.leaving = habits.scheduler.now
            leaving[log.meeting] = None
            await insist(meeting.leave)
            del leaving[log.meeting]
            log.left = habits.scheduler.now
            await proof.release()


async def _enter(meeting: DoubleBarrier, chance: Random) -> None:
    for number in range(TRIES):
        try:
            async with asyncio.timeout(chance.choice((0.5, 3.0, 6.0))):
                return await meeting.enter()
        except TROUBLE:
            if number == TRIES - 1:
                raise
    return None

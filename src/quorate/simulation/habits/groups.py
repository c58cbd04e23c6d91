"""A group: members that come and go, and others who look, follow and view."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from quorate.client.asynchronous import AsyncClient
from quorate.recipes import ChangeKind, Group
from quorate.simulation.checkers.groups import GROUP, MEMBERS
from quorate.simulation.evidence import MemberLog, SightingsLog
from quorate.simulation.habits.presence import expect
from quorate.simulation.workload import TROUBLE, Habits

TTL_SECONDS: Final = 2.0


async def member(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Join, say something else now and then, look who is there, and leave; then stay."""
    group = client.group(GROUP, ttl=TTL_SECONDS)
    held: list[str] = []
    habits.holding.setdefault(GROUP, {})[name] = held

    async def attend(times: int) -> None:
        async with group.join(habits.value()) as membership:
            log = MemberLog(name, membership.id, habits.scheduler.now)
            habits.evidence.members.append(log)
            held.append(log.id)
            try:
                while times and not membership.lost:
                    times -= 1
                    log.proven = habits.scheduler.now
                    await asyncio.sleep(chance.expovariate(4.0))
                    if chance.random() < 0.3:
                        await membership.update(habits.value())
            finally:
                held.remove(log.id)
        if not membership.lost:
            log.left = habits.scheduler.now

    async def visit() -> None:
        with suppress(*TROUBLE):
            async with asyncio.timeout(chance.choice((0.2, 3.0, 20.0))):
                await attend(chance.choice((1, 4, 20)))

    while habits.go_on():
        await asyncio.sleep(chance.expovariate(2.0))
        await asyncio.gather(*(visit() for _ in range(chance.choice((1, 2, 3)))))
    while True:
        with suppress(*TROUBLE):
            await attend(-1)


async def looker(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Read who is there, again and again, beside a view."""
    group = client.group(GROUP, ttl=TTL_SECONDS)
    while True:
        with suppress(*TROUBLE):
            async with group.view() as view:
                expect(habits, GROUP, name, lambda: [each.id for each in view.members])
                await _look_for_ever(habits, group, name, chance)


async def _look_for_ever(habits: Habits, group: Group, name: str, chance: Random) -> None:
    while True:
        await asyncio.sleep(chance.expovariate(2.0))
        if not habits.go_on():
            await asyncio.Event().wait()
        with suppress(*TROUBLE), habits.calling(name, GROUP, MEMBERS) as call:
            call.told = tuple([each.id for each in await group.members()])


async def follower(habits: Habits, client: AsyncClient, name: str, _chance: Random) -> None:
    """Follow the changes for ever; begin anew when that breaks off."""
    group = client.group(GROUP, ttl=TTL_SECONDS)
    known: dict[str, None] = {}
    expect(habits, GROUP, name, lambda: list(known))
    while True:
        log = SightingsLog(name, GROUP)
        habits.evidence.sightings.append(log)
        known.clear()
        with suppress(*TROUBLE):
            async for kind, who in group.changes():
                log.changes.append((kind.value, who.id))
                if kind is ChangeKind.LEFT:
                    known.pop(who.id, None)
                else:
                    known[who.id] = None
        await asyncio.sleep(0.1)

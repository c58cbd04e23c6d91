"""A group: members that come and go, and others who look, follow and view."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from quorate.client.asynchronous import AsyncClient
from quorate.recipes import Group, Member
from quorate.simulation.checkers.groups import GROUP
from quorate.simulation.evidence import MemberLog
from quorate.simulation.habits.presence import expect, follow_for_ever, look_for_ever
from quorate.simulation.workload import TROUBLE, Habits

TTL_SECONDS: Final = 2.0


async def member(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Join, say something else now and then, and leave; in the end stay."""
    group = client.group(GROUP, ttl=TTL_SECONDS)
    held: list[str] = []
    habits.holding.setdefault(GROUP, {})[name] = held

    async def visit() -> None:
        with suppress(*TROUBLE):
            async with asyncio.timeout(chance.choice((0.2, 3.0, 20.0))):
                await _attend(habits, group, _Attendance(name, held, chance), news=0.3)

    while habits.go_on():
        await asyncio.sleep(chance.expovariate(2.0))
        await asyncio.gather(*(visit() for _ in range(chance.choice((1, 2, 3)))))
    while True:
        with suppress(*TROUBLE):
            await _attend(habits, group, _Attendance(name, held, chance, times=-1), news=0.0)


class _Attendance:
    """Who attends, how often it looks at itself before it leaves, and what it holds."""

    def __init__(self, name: str, held: list[str], chance: Random, times: int = 0) -> None:
        self.name = name
        self.held = held
        self.chance = chance
        self.times = times or chance.choice((1, 4, 20))


async def _attend(habits: Habits, group: Group, own: _Attendance, news: float) -> None:
    """Be a member for a while, and say something new at each look as likely as `news`."""
    data = habits.value().decode()
    async with group.join(data) as membership:
        log = MemberLog(own.name, membership.id, habits.scheduler.now)
        habits.evidence.members.append(log)
        own.held.append(f"{log.id} {data}")
        try:
            while own.times and not membership.lost:
                own.times -= 1
                log.proven = habits.scheduler.now
                await asyncio.sleep(own.chance.expovariate(4.0))
                if own.chance.random() < news:
                    own.held.remove(f"{log.id} {data}")
                    data = habits.value().decode()
                    own.held.append(f"{log.id} {data}")
                    await membership.update(data)
        finally:
            own.held.remove(f"{log.id} {data}")
    if not membership.lost:
        log.left = habits.scheduler.now


async def looker(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Read who is there, again and again, beside a view."""
    group = client.group(GROUP, ttl=TTL_SECONDS)
    while True:
        with suppress(*TROUBLE):
            async with group.view() as view:
                expect(habits, GROUP, name, lambda: [_said(each) for each in view.members])
                await look_for_ever(habits, GROUP, name, chance, group.members)


async def follower(habits: Habits, client: AsyncClient, name: str, _chance: Random) -> None:
    """Follow the changes for ever; begin anew when that breaks off."""
    group = client.group(GROUP, ttl=TTL_SECONDS)
    await follow_for_ever(habits, GROUP, name, group.changes, _said)


def _said(member: Member) -> str:
    return f"{member.id} {member.data.decode()}"

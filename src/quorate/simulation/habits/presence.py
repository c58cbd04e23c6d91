"""Who is there, by what each client knows of itself: what every view has to come to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Protocol, TypeVar

from quorate.recipes import ChangeKind
from quorate.simulation.checkers.groups import MEMBERS
from quorate.simulation.evidence import SightingsLog
from quorate.simulation.workload import TROUBLE, Habits


class Present(Protocol):
    """Somebody who is there."""

    @property
    def id(self) -> str:
        """How it is told from others."""


Who = TypeVar("Who", bound=Present)


def present(habits: Habits, recipe: str) -> list[str]:
    """Return what the living clients hold of a recipe, in order."""
    return sorted(
        each
        for name, held in habits.holding.get(recipe, {}).items()
        if habits.processes[name].alive
        for each in held
    )


def expect(habits: Habits, recipe: str, name: str, seen: Callable[[], list[str]]) -> None:
    """Let the run be over only when the client of this name sees those that are there."""

    def words() -> str:
        sees, there = sorted(seen()), present(habits, recipe)
        return "" if sees == there else f"sees {sees} in the {recipe}, where {there} are"

    habits.pending[name] = words


async def look_for_ever(
    habits: Habits,
    recipe: str,
    name: str,
    chance: Random,
    read: Callable[[], Awaitable[Sequence[Present]]],
) -> None:
    """Read who is there, again and again, and write down who was told."""
    while True:
        await asyncio.sleep(chance.expovariate(2.0))
        if not habits.go_on():
            await asyncio.Event().wait()
        with suppress(*TROUBLE), habits.calling(name, recipe, MEMBERS) as call:
            call.told = tuple([each.id for each in await read()])


async def follow_for_ever(
    habits: Habits,
    recipe: str,
    name: str,
    changes: Callable[[], AsyncIterator[tuple[ChangeKind, Who]]],
    said: Callable[[Who], str],
) -> None:
    """Follow the changes, and begin anew when that breaks off."""
    known: dict[str, Who] = {}
    expect(habits, recipe, name, lambda: [said(each) for each in known.values()])
    while True:
        log = SightingsLog(name, recipe)
        habits.evidence.sightings.append(log)
        known.clear()
        with suppress(*TROUBLE):
            async for kind, who in changes():
                log.changes.append((kind.value, who.id))
                if kind is ChangeKind.LEFT:
                    known.pop(who.id, None)
                else:
                    known[who.id] = who
        await asyncio.sleep(0.1)

"""Every other recipe under every fault: no seed breaks its promise, and a broken one is found."""

from __future__ import annotations

import logging
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quorate.recipes import (
    Barrier,
    Config,
    Counter,
    DoubleBarrier,
    Group,
    Latch,
    RateLimiter,
    Sequence,
    View,
)
from quorate.recipes.changes import changed, seen
from quorate.recipes.config import Version
from quorate.recipes.groups import ChangeKind, Member, MemberChange
from quorate.recipes.own_key import OwnKey
from quorate.recipes.reentrant import _CountedLock
from quorate.recipes.seats import Seat
from quorate.simulation.evidence import Evidence, Outcome
from quorate.simulation.habits.sets import SETS
from quorate.simulation.plan import draw_plan
from quorate.simulation.world import World
from quorate.store.types import Event, EventKind, KeyValue, Range, ReadConsistency, prefix_end

SEEDS = 24
CHUNK = 8
RECIPES = {
    "numbers": ("number", "ids", "latch", "settings", "mail"),
    "presence": ("gate", "meeting", "group", "service", "re-entrant"),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nodes that are killed on purpose would fill the log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
@pytest.mark.parametrize("name", SETS)
def test_no_seed_breaks_a_recipes_promise(name: str, first: int) -> None:
    used: Tally[str] = Tally()
    for seed in range(first, first + CHUNK):
        world = World(draw_plan(seed), habits=SETS[name])
        result = world.run()
        assert not result.violations, f"seed {seed} of the set {name!r}"
        used += used_well(world.evidence)
    for recipe in RECIPES[name]:
        assert used[recipe] > 15, recipe


def used_well(evidence: Evidence) -> Tally[str]:
    """Count how often each recipe did what it is for."""
    names = [call.recipe for call in evidence.calls if call.outcome is Outcome.OK]
    names += ["mail" for grant in evidence.grants if grant.outcome is Outcome.OK]
    names += [party.meeting for party in evidence.parties if party.left > 0]
    names += [hold.lock for hold in evidence.shares if hold.accesses]
    return Tally(name.partition("/")[0] for name in names)


async def adds_blindly(self: Any, amount: int = 1) -> int:
    number = int(await self.get()) + amount
    await self._store.put(self._key, b"%d" % number)
    return number


async def gives_the_last_id_again(self: Any) -> int:
    async with self._lock:
        if not self._left:
            end = await self._end.add(self._batch)
            self._left = range(end - self._batch, end + 1)
        first, self._left = self._left[0], self._left[1:]
        return int(first)


async def opens_one_too_early(self: Any) -> None:
    while True:
        found, revision = await seen(self._store, self._key)
        if found is not None and int(found.value) < 2:
            return
        await changed(self._store, self._key, None, revision)


async def sleeps_on(self: Any) -> None:
    while True:
        found, revision = await seen(self._store, self._key)
        if found is not None and found.value == b"0":
            return
        await changed(self._store, self._key, None, revision + 15)


async def takes_any_change_for_a_lift(self: Any) -> None:
    found, revision = await seen(self._store, self._key)
    if found is not None:
        await changed(self._store, self._key, None, revision)


async def enters_alone(self: Any) -> None:
    await self._own.put(b"")


async def leaves_alone(self: Any) -> None:
    await self._own.remove()


def leaves_it_there(_self: Any) -> None:
    return


async def reads_what_was(self: Any) -> tuple[list[KeyValue], int]:
    query = Range(self._prefix, prefix_end(self._prefix))
    found = await self._store.range(query, consistency=ReadConsistency.STALE)
    return list(found.items), found.revision


def takes_news_for_a_joining(self: Any, event: Event, _known: Any) -> MemberChange:
    kind = ChangeKind.LEFT if event.kind is EventKind.DELETE else ChangeKind.JOINED
    return MemberChange(kind, Member(self._id(event.kv.key), event.kv.value))


def forgets_nobody(self: Any, change: MemberChange) -> None:
    self._members[change.member.id] = change.member


take_a_seat = Seat._take


async def comes_back_in_words(self: Any) -> None:
    if self._keeping is None:
        await take_a_seat(self)
    self._attempted, self._confirmed = True, True


async def stays_for_ever(_self: Any) -> None:
    return


async def gives_back_the_first(self: Any) -> None:
    self.times = 0
    await super(_CountedLock, self).release()


async def takes_blindly(self: Any, tokens: int, _patience: int | None) -> int:
    found = await self._store.get(self._key)
    now = self._clock.wall()
    full_at = max(int(found.value), now) if found is not None else now
    full_at += tokens * self._interval
    await self._store.put(self._key, b"%d" % full_at)
    return int(max(full_at - self._burst * self._interval - now, 0))


async def does_not_wait(self: Any, tokens: int = 1, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  as the recipe has it
    await self._take(tokens, None if timeout is None else int(timeout * 1e9))


async def takes_twice_the_burst(self: Any, tokens: int = 1) -> bool:
    return bool(await self._take(tokens, self._burst * self._interval) >= 0)


async def updates_blindly(self: Any, change: Callable[[Any], Any]) -> Version[Any]:
    value = change((await self.get()).value)
    return Version(value, await self.set(value))


async def goes_nowhere(self: Any, _revision: int) -> Version[Any]:
    now = await self.get()
    return Version(now.value, await self.set(now.value))


async def tells_it_again(self: Any) -> Any:
    while True:
        found, revision = await seen(self._store, self._key)
        yield self._version(found)
        await changed(self._store, self._key, None, revision - 1)


BROKEN: dict[str, tuple[str, type, str, Callable[..., Any], str]] = {
    "a counter loses counts": ("numbers", Counter, "add", adds_blindly, "counter"),
    "batches of ids overlap": ("numbers", Sequence, "next", gives_the_last_id_again, "sequence"),
    "a latch opens early": ("numbers", Latch, "wait", opens_one_too_early, "latch"),
    "a latch wakes nobody": ("numbers", Latch, "wait", sleeps_on, "liveness"),
    "the limit loses takings": ("numbers", RateLimiter, "_take", takes_blindly, "rate limiter"),
    "nobody waits": ("numbers", RateLimiter, "acquire", does_not_wait, "rate limiter"),
    "the bucket is too large": (
        "numbers",
        RateLimiter,
        "try_acquire",
        takes_twice_the_burst,
        "rate limiter",
    ),
    "an update is lost": ("numbers", Config, "update", updates_blindly, "configuration"),
    "a roll back keeps it": ("numbers", Config, "roll_back", goes_nowhere, "configuration"),
    "versions are told twice": ("numbers", Config, "changes", tells_it_again, "configuration"),
    "a barrier lets go": ("presence", Barrier, "wait", takes_any_change_for_a_lift, "barrier"),
    "a party enters alone": ("presence", DoubleBarrier, "enter", enters_alone, "double barrier"),
    "a party leaves alone": ("presence", DoubleBarrier, "leave", leaves_alone, "double barrier"),
    "who gave up stays": ("presence", OwnKey, "remove_later", leaves_it_there, "liveness"),
    "members are read late": ("presence", Group, "_read", reads_what_was, "groups"),
    "all have just joined": ("presence", Group, "_change", takes_news_for_a_joining, "groups"),
    "a view forgets nobody": ("presence", View, "take", forgets_nobody, "liveness"),
    "an instance is not written": ("presence", Seat, "_take", comes_back_in_words, "groups"),
    "an instance stays": ("presence", Seat, "_leave_for_good", stays_for_ever, "liveness"),
    "an inner release is one": (
        "presence",
        _CountedLock,
        "release",
        gives_back_the_first,
        "shared claims",
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_recipe_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    habits, kind, method, broken, checker = BROKEN[name]
    monkeypatch.setattr(kind, method, broken)
    for seed in range(20):
        plan = draw_plan(seed)
        violations = World(plan, habits=SETS[habits]).run().violations
        if violations:
            assert violations[0].checker == checker
            return
    pytest.fail("no seed noticed")

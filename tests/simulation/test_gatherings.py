"""The recipes under every fault: capacity, exclusion, one leader, each element finished once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quorate.recipes import Queue, ReadLock, Semaphore, WriteLock
from quorate.recipes.claim import Place
from quorate.simulation.checkers.queue import check_queue
from quorate.simulation.checkers.shares import check_shares
from quorate.simulation.evidence import Change, ElementLog, HoldLog, Outcome
from quorate.simulation.gatherings import GATHERINGS
from quorate.simulation.plan import draw_plan
from quorate.simulation.world import World
from quorate.store.types import KeyValue

SEEDS = 60
CHUNK = 10


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nodes that are killed on purpose would fill the log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_a_recipes_promise(first: int) -> None:
    used = finished = 0
    for seed in range(first, first + CHUNK):
        world = World(draw_plan(seed), habits=GATHERINGS)
        result = world.run()
        assert not result.violations, f"seed {seed}"
        used += sum(bool(hold.accesses) for hold in world.evidence.shares)
        finished += sum(bool(element.finished) for element in world.evidence.elements)
    assert used > 50
    assert finished > 50


def one_too_many(self: Any, place: Place) -> bool:
    return bool(len(place.before) <= self._permits)


def nobody_counts(_self: Any, _before: list[KeyValue]) -> tuple[bytes, ...]:
    return ()


async def finishes_whatever_happened(self: Any, taken: Any) -> None:
    await self._store.delete(self._claim_of(taken.key))


BROKEN: dict[str, tuple[type, str, Callable[..., Any], str]] = {
    "a semaphore lets one too many in": (Semaphore, "_is_enough", one_too_many, "shared claims"),
    "readers look past a writer": (ReadLock, "_counted", nobody_counts, "shared claims"),
    "writers look past everybody": (WriteLock, "_counted", nobody_counts, "shared claims"),
    "finishing leaves the element": (Queue, "_finish", finishes_whatever_happened, "queue"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_recipe_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, method, broken, checker = BROKEN[name]
    monkeypatch.setattr(kind, method, broken)
    for seed in range(20):
        violations = World(draw_plan(seed), habits=GATHERINGS).run().violations
        if violations:
            assert violations[0].checker == checker
            return
    pytest.fail("no seed noticed")


def hold(client: str, lock: str, token: int, *accesses: int) -> HoldLog:
    return HoldLog(client, lock, token, b"", list(accesses))


def test_histories_of_shared_claims_are_judged() -> None:
    fine = [
        hold("a", "semaphore/s", 1, 10, 20),
        hold("b", "semaphore/s", 2, 15, 30),
        hold("c", "semaphore/s", 3, 25, 40),
        hold("a", "rw/read/x", 4, 10, 20),
        hold("b", "rw/read/x", 5, 12, 22),
        hold("c", "rw/write/x", 6, 23, 30),
        hold("a", "election/e", 7, 1, 2),
        hold("b", "election/e", 8, 3, 4),
    ]
    assert check_shares(fine) == []
    assert "at most 2" in check_shares([*fine, hold("d", "semaphore/s", 9, 16, 18)])[0]
    assert "at most 1" in check_shares([*fine, hold("c", "election/e", 9, 1, 9)])[0]
    assert "while" in check_shares([*fine, hold("d", "rw/read/x", 9, 29, 31)])[0]
    assert "one token" in check_shares([*fine, hold("d", "election/e", 8, 5, 6)])[0]


def changes(*versions: int) -> list[Change]:
    """One element's key: 1 writes it, 0 deletes it."""
    key = b"queue/elements/80/1"
    return [
        Change(place, place, KeyValue(key, b"x" if version else b"", place, place, version))
        for place, version in enumerate(versions, 2)
    ]


def test_histories_of_a_queue_are_judged() -> None:
    finished = ElementLog(b"x", Outcome.OK, ["a"])
    assert check_queue([finished], changes(1, 0)) == []
    assert check_queue([ElementLog(b"x", Outcome.OK)], changes(1)) == []
    assert check_queue([ElementLog(b"x", Outcome.UNKNOWN)], []) == []
    assert check_queue([ElementLog(b"x", Outcome.OK, [], doubtful=True)], changes(1, 0)) == []
    for element, history, words in (
        (finished, changes(1), "still there"),
        (ElementLog(b"x", Outcome.OK), changes(1, 0), "nobody finished"),
        (ElementLog(b"x", Outcome.OK), [], "never there"),
        (ElementLog(b"x", Outcome.FAILED), changes(1), "said to have failed"),
        (ElementLog(b"x", Outcome.OK, ["a", "b"]), changes(1, 0), "by a and by b"),
    ):
        assert words in check_queue([element], history)[0]

"""Checkers are proven by histories that are broken on purpose, and by sound ones like them."""

from __future__ import annotations

import pytest
from tests.simulation.checkers.histories import (
    FAILED,
    KEY,
    UNKNOWN,
    at,
    delete,
    get,
    put,
    swap,
    written,
)

from quorate.simulation.checkers.leases import check_leases
from quorate.simulation.checkers.linearizability import check_linearizability
from quorate.simulation.checkers.locks import check_locks
from quorate.simulation.checkers.watches import check_watches
from quorate.simulation.checkers.writes import check_writes
from quorate.simulation.evidence import (
    Change,
    HoldLog,
    LeaseLog,
    Operation,
    SeenEvent,
    WatchLog,
)
from quorate.store.types import KeyValue


def deleted(revision: int, seconds: float, key: bytes = KEY) -> Change:
    return Change(revision, at(seconds), KeyValue(key, b"", 0, revision, 0))


def seen(change: Change, previous: KeyValue | None = None) -> SeenEvent:
    kv = change.kv
    return SeenEvent(change.revision, kv.key, kv.value, not kv.version, previous)


SOUND = [put("a", 0, 2, b"x", 2), get("b", 1, 3, b"x", 2), swap("b", 4, 5, b"y", 2, 3)]


def test_a_sound_history_is_accepted() -> None:
    changes = [written(2, 1.5, b"x"), written(3, 4.5, b"y", create=2, version=2)]
    assert not check_linearizability(SOUND).violations
    assert not check_writes(SOUND, changes)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(
            [put("a", 0, 1, b"x", 2), get("b", 2, 3)], id="a read misses an acknowledged write"
        ),
        pytest.param(
            [
                put("a", 0, 1, b"x", 2),
                put("a", 2, 3, b"y", 3),
                get("b", 4, 5, b"x", 2),
            ],
            id="a read is stale",
        ),
        pytest.param(
            [
                put("a", 0, 10, b"x", 2),
                get("b", 1, 2, b"x", 2),
                get("b", 3, 4),
            ],
            id="a value is seen and then not",
        ),
        pytest.param(
            [put("a", 0, 1, b"x", 2), swap("a", 2, 3, b"y", 2, 3), swap("b", 4, 5, b"z", 2, 4)],
            id="two swaps succeed on one revision",
        ),
        pytest.param(
            [put("a", 0, 1, b"x", 2), delete("b", 2, 3, 3), get("a", 4, 5, b"x", 2)],
            id="a deleted key comes back",
        ),
        pytest.param(
            [put("a", 0, 1, b"x", 2, outcome=FAILED), get("b", 2, 3, b"x", 2)],
            id="a write that failed is seen",
        ),
        pytest.param(
            [
                put("a", 0, -1, b"x", outcome=UNKNOWN),
                get("b", 1, 2, b"x", 2),
                get("b", 3, 4),
                get("b", 5, 6, b"x", 2),
            ],
            id="an unknown write happens twice",
        ),
    ],
)
def test_what_no_order_explains_is_found(history: list[Operation]) -> None:
    assert check_linearizability(history).violations


@pytest.mark.parametrize(
    ("history", "changes", "sentence"),
    [
        pytest.param(
            [put("a", 0, 1, b"x", 2)], [], "not where its client was told", id="a lost write"
        ),
        pytest.param(
            [put("a", 0, 1, b"x", 2)],
            [written(2, 0.5, b"x"), written(3, 0.6, b"x", version=2)],
            "more than once",
            id="a write done twice",
        ),
        pytest.param(
            [put("a", 0, 1, b"x", outcome=FAILED)],
            [written(2, 0.5, b"x")],
            "did not happen",
            id="a failure that happened",
        ),
        pytest.param(
            [put("a", 0, 1, b"x", 2)],
            [written(2, 5, b"x")],
            "acknowledged before it was applied",
            id="an answer before the deed",
        ),
        pytest.param(
            [put("a", 2, 3, b"x", 2)],
            [written(2, 1, b"x")],
            "before it was called",
            id="a deed before the call",
        ),
        pytest.param(
            [put("a", 0, 1, b"x", 2)],
            [written(2, 0.5, b"x"), written(4, 0.6, b"y")],
            "followed by revision",
            id="a gap in the revisions",
        ),
        pytest.param(
            [get("a", 0, 1)],
            [written(2, 0.5, b"x")],
            "written by no client",
            id="a write of nobody's",
        ),
        pytest.param(
            [put("a", 0, 1, b"x", 2), delete("b", 2, 3, 3)],
            [written(2, 0.5, b"x")],
            "no deletion is there",
            id="a deletion that was lost",
        ),
        pytest.param(
            [put("a", 0, 1, b"x", 2), get("b", 2, 3)],
            [written(2, 0.5, b"x")],
            "",
            id="a read of the past",
        ),
    ],
)
def test_what_differs_from_the_truth_is_found(
    history: list[Operation], changes: list[Change], sentence: str
) -> None:
    found = check_writes(history, changes)
    assert any(sentence in each for each in found), found


TRUTH = [
    written(2, 1, b"x"),
    written(3, 2, b"y", create=2, version=2),
    deleted(4, 3),
    written(5, 4, b"z"),
]


def watch(events: list[SeenEvent], *, reached: int = 5, compacted: bool = False) -> WatchLog:
    return WatchLog("w", 2, KEY, False, events, reached, compacted)


def test_a_watch_that_delivers_everything_once_is_accepted() -> None:
    assert not check_watches([watch([seen(each) for each in TRUTH])], TRUTH)
    partly = watch([seen(TRUTH[0])], reached=2, compacted=True)
    assert not check_watches([partly], TRUTH)


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (watch([seen(each) for each in TRUTH[1:]]), "left out"),
        (watch([seen(each) for each in [*TRUTH, TRUTH[3]]]), "twice"),
        (watch([seen(TRUTH[i]) for i in (1, 0, 2, 3)]), "after revision"),
        (watch([*map(seen, TRUTH), seen(written(6, 5, b"q"))]), "never was"),
        (watch([seen(TRUTH[0])]), "left out"),
        (watch([seen(TRUTH[0])], reached=4, compacted=True), "compacted"),
        (watch(list(map(seen, TRUTH)), reached=9), "the last is 5"),
        (
            WatchLog("w", 3, KEY, False, list(map(seen, TRUTH)), 5),
            "began at revision 3",
        ),
        (
            WatchLog("w", 2, KEY, True, list(map(seen, TRUTH)), 5),
            "before it",
        ),
    ],
)
def test_a_watch_that_breaks_its_promise_is_found(log: WatchLog, sentence: str) -> None:
    found = check_watches([log], TRUTH)
    assert any(sentence in each for each in found), found


def test_previous_values_that_are_right_are_accepted() -> None:
    previous = [None, TRUTH[0].kv, TRUTH[1].kv, None]
    events = [seen(change, before) for change, before in zip(TRUTH, previous, strict=True)]
    assert not check_watches([WatchLog("w", 2, KEY, True, events, 5)], TRUTH)


def test_holders_in_the_order_of_their_tokens_are_accepted() -> None:
    holds = [
        HoldLog("a", "l", 3, b"l/a", [1, 2]),
        HoldLog("b", "l", 7, b"l/b", [3]),
        HoldLog("c", "m", 5, b"m/c", [2]),
    ]
    assert not check_locks(holds)


def test_a_holder_that_goes_on_after_the_next_one_is_found() -> None:
    found = check_locks([HoldLog("a", "l", 3, b"l/a", [1, 5]), HoldLog("b", "l", 7, b"l/b", [3])])
    assert "with token 3" in found[0]


def test_a_token_that_was_given_twice_is_found() -> None:
    assert (
        "one token"
        in check_locks([HoldLog("a", "l", 3, b"l/a", [1]), HoldLog("b", "l", 3, b"l/b", [2])])[0]
    )


def leases(ended: float | None, *, revoked: bool = False, run: float = 60) -> list[str]:
    attached = written(2, 1, b"x", lease=9)
    changes = [attached] if ended is None else [attached, deleted(3, ended)]
    log = LeaseLog(9, KEY, at(3), at(10), 2, revoked)
    return check_leases(
        [log],
        changes,
        drift=0.02,
        margin=0.1,
        late_ns=at(5),
        end_ns=at(run),
        quiet_from=at(12),
    )


def test_a_lease_that_ends_in_time_is_accepted() -> None:
    assert not leases(13.5)
    assert not leases(11, revoked=True)
    assert not leases(None, run=15)


def test_a_lease_that_ends_before_its_client_stops_trusting_it_is_found() -> None:
    assert "could trust it until" in leases(12)[0]


def test_a_lease_that_never_ends_is_found() -> None:
    assert "is still there" in leases(None)[0]


def test_a_lease_that_ends_late_is_found() -> None:
    assert "was there until" in leases(30)[0]

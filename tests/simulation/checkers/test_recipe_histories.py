"""The checkers of the recipes on histories made by hand: good ones pass, broken ones do not."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import pytest

from quorate.simulation.checkers import barriers, configs, counting, latches, limits
from quorate.simulation.checkers.barriers import LIFT, RAISE, check_barriers
from quorate.simulation.checkers.configs import (
    AT,
    CONFIG,
    DRAFT,
    ROLL_BACK,
    UPDATE,
    Settings,
    check_configs,
)
from quorate.simulation.checkers.counting import (
    ADD,
    COUNTER,
    NEXT,
    SEQUENCE,
    check_counter,
    check_sequence,
)
from quorate.simulation.checkers.groups import (
    GROUP,
    MEMBERS,
    check_groups,
    check_registrations,
    check_sightings,
)
from quorate.simulation.checkers.latches import COUNT_DOWN, check_latches
from quorate.simulation.checkers.limits import BURST, INTERVAL, check_limits
from quorate.simulation.checkers.meetings import check_meetings
from quorate.simulation.checkers.shares import check_shares
from quorate.simulation.evidence import (
    CallLog,
    Change,
    GrantLog,
    HoldLog,
    MemberLog,
    Outcome,
    PartyLog,
    RegistrationLog,
    SightingsLog,
    VersionsLog,
)
from quorate.store.types import KeyValue

Seen: TypeAlias = tuple[int, tuple[str, ...]]
OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN


def call(
    recipe: str,
    verb: str,
    called: int,
    returned: int = -1,
    number: int = 0,
    *told: str,
    client: str = "a",
    outcome: Outcome = OK,
) -> CallLog:
    return CallLog(client, recipe, verb, called, returned, outcome, number, told)


def versions(key: bytes, *values: bytes, at: tuple[int, ...] = ()) -> list[Change]:
    """The versions of a key, from revision 2 on."""
    return [
        Change(revision, moment, KeyValue(key, value, 2, revision, revision - 1))
        for revision, (value, moment) in enumerate(
            zip(values, at or range(len(values)), strict=True), 2
        )
    ]


def add(called: int, returned: int, number: int, outcome: Outcome = OK) -> CallLog:
    return call(COUNTER, ADD, called, returned, number, outcome=outcome)


def test_histories_of_a_counter_are_judged() -> None:
    history = versions(counting.KEY, b"1", b"2", b"3")
    fine = [add(1, 5, 2), add(2, 3, 1), add(6, -1, 0, UNKNOWN), add(7, 8, 0, FAILED)]
    fine.append(call(COUNTER, counting.GET, 6, 7, 2))
    assert check_counter(fine, history) == []
    assert check_counter([], []) == []
    for calls, numbers, words in (
        ([*fine, add(8, 9, 2)], (b"1", b"2", b"3"), "as a's add"),
        ([add(1, 2, 2), add(3, 4, 1)], (b"1", b"2"), "gave 1 at 0.000000 s, after"),
        (fine, (b"1",), "ended at 1: 2 counts were acknowledged"),
        (fine, (b"1", b"2", b"3", b"4"), "3 may have been counted"),
        (fine, (b"1", b"3", b"3"), "went from 1 to 3"),
        ([*fine, call(COUNTER, counting.GET, 6, 7, 1)], (b"1", b"2"), "between 2 and 3 then"),
        ([*fine, call(COUNTER, counting.GET, 1, 1, 2)], (b"1", b"2"), "between 0 and 1 then"),
    ):
        assert words in "\n".join(check_counter(calls, versions(counting.KEY, *numbers)))


def test_histories_of_a_sequence_are_judged() -> None:
    def taken(client: str, called: int, number: int, outcome: Outcome = OK) -> CallLog:
        return call(SEQUENCE, NEXT, called, called + 1, number, client=client, outcome=outcome)

    fine = [taken("a", 1, 11), taken("b", 3, 1), taken("a", 5, 12), taken("b", 7, 0, UNKNOWN)]
    assert check_sequence(fine) == []
    assert "gave 11" in check_sequence([*fine, taken("b", 9, 11)])[0]
    assert "after" in check_sequence([*fine, taken("a", 9, 9)])[0]


def test_histories_of_a_latch_are_judged() -> None:
    def count(called: int, left: int, outcome: Outcome = OK) -> CallLog:
        return call("latch/1", COUNT_DOWN, called, called + 1, left, outcome=outcome)

    def wait(called: int, returned: int) -> CallLog:
        return call("latch/1", latches.WAIT, called, returned)

    fine = [count(1, 1), wait(1, 6), count(5, 0)]
    assert check_latches(fine, 2) == []
    assert check_latches([count(1, 1), count(2, 0, UNKNOWN), wait(1, 6)], 2) == []
    assert "only 1 of 2" in check_latches([*fine, wait(1, 4)], 2)[0]
    assert "only 1 of 2" in check_latches([count(1, 1), count(2, 0, FAILED), wait(1, 6)], 2)[0]
    assert "between 2 and 2" in check_latches([count(1, 1)], 3)[0]
    assert "one of them is lost" in "\n".join(check_latches([count(1, 1), count(1, 1)], 3))


def test_histories_of_a_barrier_are_judged() -> None:
    def does(verb: str, called: int, returned: int, outcome: Outcome = OK) -> CallLog:
        return call("gate/1", verb, called, returned, outcome=outcome)

    up, wait = does(RAISE, 2, 3), does(barriers.WAIT, 4, 9)
    for lift in (does(LIFT, 8, 12), does(LIFT, 1, 2), does(LIFT, 1, -1, UNKNOWN)):
        assert check_barriers([up, wait, lift]) == []
    assert check_barriers([up, does(barriers.WAIT, 3, 4)]) == []
    assert check_barriers([does(RAISE, 2, 3, UNKNOWN), wait]) == []
    for lift in (does(LIFT, 10, 12), does(LIFT, 0, 1), does(LIFT, 5, 6, FAILED)):
        assert "nobody lifted" in check_barriers([up, wait, lift])[0]


def test_histories_of_a_double_barrier_are_judged() -> None:
    def party(client: str, *moments: int) -> PartyLog:
        return PartyLog(client, "meeting/1", *moments)

    fine = [party("a", 1, 4, 5, 6, 9), party("b", 2, 4, 7, 7, 9), party("c", 9)]
    assert check_meetings(fine, 2) == []
    dead = party("b", 2, 4, 8)
    assert check_meetings([fine[0], dead], 2) == []
    late = party("b", 2, 7, 20, 21, 22)
    assert check_meetings([fine[0], late], 2) == []
    assert "only 1 of 2" in check_meetings([party("a", 1, 4), party("b", 5, 6)], 2)[0]
    assert "b was inside" in check_meetings([fine[0], party("b", 2, 4, 10)], 2)[0]
    assert "b was inside" in check_meetings([fine[0], party("b", 2, 4, 10, 11, 12)], 2)[0]


def test_histories_of_a_group_are_judged() -> None:
    def read(called: int, returned: int, *told: str, recipe: str = GROUP) -> CallLog:
        return call(recipe, MEMBERS, called, returned, 0, *told)

    there, left = MemberLog("a", "x", 2, proven=9), MemberLog("b", "y", 2, proven=4, left=6)
    members = [there, left]
    reads = [read(3, 8, "x"), read(5, 7, "x", "y"), read(1, 3), read(8, 9), read(3, 5, "x", "y")]
    assert check_groups(reads, members) == []
    assert "not told of x" in check_groups([read(3, 8)], members)[0]
    assert "told of y" in check_groups([read(7, 8, "x", "y")], members)[0]
    assert "once, in order" in check_groups([read(3, 8, "x", "x")], members)[0]
    assert "once, in order" in check_groups([read(3, 8, "z", "x", recipe="service")], [])[0]


def test_histories_of_a_registration_are_judged() -> None:
    key = b"service/members/x"
    history = versions(key, b"here", at=(5,))
    history.append(Change(3, 9, KeyValue(key, b"", 0, 3, 0)))
    assert check_registrations([RegistrationLog("a", "x", [5, 8])], history) == []
    for moment in (4, 9):
        found = check_registrations([RegistrationLog("a", "x", [moment])], history)
        assert "it was not there" in found[0]


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (("joined", "changed", "changed", "left", "joined"), ""),
        (("changed",), "not there"),
        (("left",), "not there"),
        (("joined", "joined"), "there already"),
        (("joined", "left", "left"), "not there"),
    ],
)
def test_histories_of_changes_of_a_group_are_judged(kinds: tuple[str, ...], words: str) -> None:
    found = check_sightings([SightingsLog("a", GROUP, [(kind, "x") for kind in kinds])])
    assert [words in text for text in found] == ([True] if words else [])


def test_histories_of_a_re_entrant_lock_are_judged() -> None:
    first = HoldLog("a", "re-entrant/x", 1, b"", [10, 20], [1, 1])
    assert check_shares([first, HoldLog("b", "re-entrant/x", 2, b"", [21, 22], [2])]) == []
    meets = HoldLog("b", "re-entrant/x", 2, b"", [15, 16], [2])
    assert "at most 1" in check_shares([first, meets])[0]
    nested = HoldLog("b", "re-entrant/x", 2, b"", [21], [2, 3])
    assert "got token 3" in check_shares([first, nested])[0]


def test_histories_of_a_rate_limiter_are_judged() -> None:
    def grant(
        called: int, wall: int, outcome: Outcome = OK, *, tokens: int = 1, patience: int | None = 0
    ) -> GrantLog:
        return GrantLog("a", tokens, patience, called, wall, called + 10, wall + 10, outcome)

    def found(grants: list[GrantLog], *full_at: int) -> str:
        values = tuple(b"%d" % each for each in full_at)
        moments = tuple(each.called + 5 for each in grants[: len(values)])
        return "\n".join(
            check_limits(grants, versions(limits.KEY, *values, at=moments), drift=0.02)
        )

    start = 1_000_000_000
    one, two = grant(0, start), grant(100, start + 100)
    assert found([one, two], start + 3 + INTERVAL, start + 3 + 2 * INTERVAL) == ""
    assert found([one, grant(100, start, FAILED)], start + INTERVAL) == ""
    assert found([one, grant(100, start - 500)], start + INTERVAL, start + 2 * INTERVAL) == ""
    assert "left no change" in found([one, two], start + INTERVAL)
    assert "2 times: 1 takings" in found(
        [one, grant(100, start, FAILED)], start + INTERVAL, start + 2 * INTERVAL
    )
    lost = found([one, two], start + 3 + INTERVAL, start + 3 + INTERVAL)
    assert "no taking does that" in lost
    credit = found([grant(0, start)], start - 50)
    assert "no taking does that" in credit
    full = start + BURST * INTERVAL
    assert "no taking does that" in found([one, two], full, full + INTERVAL)
    patient = grant(100, start + 100, patience=None)
    assert "came before" in found([grant(0, start, tokens=BURST), patient], full, full + INTERVAL)


def test_histories_of_a_configuration_are_judged() -> None:
    def stored(*marks: str) -> bytes:
        return msgspec.json.encode(Settings(marks))

    def update(mark: str, revision: int, outcome: Outcome = OK) -> CallLog:
        return call(CONFIG, UPDATE, 1, 2, revision, mark, outcome=outcome)

    history = versions(configs.KEY, stored("x"), stored("x", "y"))
    fine = [update("x", 2), update("y", 0, UNKNOWN), update("z", 0, FAILED)]
    reads = [call(CONFIG, configs.GET, 5, 6, 3, "x", "y"), call(CONFIG, AT, 5, 6, 2, "x")]
    followed = VersionsLog("a", [(0, ()), (2, ("x",)), (3, ("x", "y"))])
    assert check_configs([*fine, *reads], [followed], history) == []
    assert check_configs([], [], []) == []
    drafts = versions(configs.DRAFT_KEY, stored("x"), stored("y"), stored("x"))
    assert check_configs([call(DRAFT, ROLL_BACK, 1, 2, 4, "2", "x")], [], drafts) == []
    for back in (call(DRAFT, ROLL_BACK, 1, 2, 4, "3", "y"), call(DRAFT, ROLL_BACK, 1, 2, 4, "2")):
        assert "something else" in check_configs([back], [], drafts)[0]
    cases: tuple[tuple[list[CallLog], list[Seen], tuple[bytes, ...], str], ...] = (
        (fine, [], (stored("x"), stored("y")), "lost what was in those of revision 2"),
        ([update("x", 3)], [], (stored("x"), stored("x", "y")), "is not there"),
        ([update("y", 0, FAILED)], [], (stored("y"),), "1 times, and was said to be failed"),
        ([call(CONFIG, AT, 5, 6, 2, "y")], [], (stored("x"),), "never there"),
        ([*fine, call(CONFIG, configs.GET, 5, 6)], [], (stored("x"),), "after 2 was acknowledged"),
        ([], [(2, ("x",)), (2, ("x",))], (stored("x"),), "given revision 2 of the settings after"),
        ([], [(2, ("y",))], (stored("x"),), "never there"),
    )
    for calls, log, stored_values, words in cases:
        logs = [VersionsLog("a", log)] if log else []
        found = check_configs(calls, logs, versions(configs.KEY, *stored_values))
        assert words in "\n".join(found)

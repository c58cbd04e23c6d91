"""Exactly once: each sequence is executed once, whatever the network repeats or reorders."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.kv.commands import (
    Enqueue,
    ExpireSessions,
    Outcome,
    OutcomeForgotten,
    RefusalCode,
)
from quorate.kv.machine import KeyValueMachine
from quorate.kv.sessions import SessionTable
from quorate.store import Commit, Get, Limits, Put, RangeResult, prefix_range

from .cases import LIMITS, copy, entry, envelope, one, refused


def send(
    machine: KeyValueMachine,
    *commands: Put | Commit | Enqueue,
    sequence: int,
    session: int = 7,
    birth: int = 1,
    acked_upto: int = 0,
) -> list[Outcome]:
    wrapped = envelope(
        commands, session=session, birth=birth, sequence=sequence, acked_upto=acked_upto
    )
    ((_, outcomes),) = machine.apply(machine.applied_index + 1, entry(wrapped))
    return outcomes


def entries_of(machine: KeyValueMachine) -> list[bytes]:
    (found,) = machine.read([prefix_range(b"q/")])
    assert isinstance(found, RangeResult)
    return [item.value for item in found.items]


deliveries = st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(1, 12)), max_size=60)


@given(deliveries, st.sets(st.integers(0, 59)), st.integers(0, 59))
@settings(max_examples=200, deadline=None)
def test_each_write_happens_once(
    schedule: list[tuple[int, int]], acking: set[int], snapshot_at: int
) -> None:
    machine = KeyValueMachine(LIMITS)
    first: dict[tuple[int, int], list[Outcome]] = {}
    acked = {1: 0, 2: 0}
    for step, (session, sequence) in enumerate(schedule):
        if step == snapshot_at:
            machine = copy(machine)
        if step in acking:
            # The client acknowledges the longest run of sequences that it has answers for.
            while (session, acked[session] + 1) in first:
                acked[session] += 1
        outcomes = send(
            machine,
            Enqueue(b"q/", b"%d:%d" % (session, sequence)),
            session=session,
            sequence=sequence,
            acked_upto=acked[session],
        )
        if sequence <= acked[session]:
            assert refused(outcomes[0], RefusalCode.SESSION_EXPIRED)
        else:
            assert first.setdefault((session, sequence), outcomes) == outcomes
    written = entries_of(machine)
    assert sorted(written) == sorted(b"%d:%d" % name for name in first)


def test_the_window_bounds_what_is_remembered() -> None:
    machine = KeyValueMachine(Limits(session_window=4))
    assert send(machine, Put(b"k", b""), sequence=4) == [2]
    assert refused(send(machine, Put(b"k", b""), sequence=5)[0], RefusalCode.SESSION_EXPIRED)
    assert send(machine, Put(b"k", b""), sequence=5, acked_upto=1) == [3]
    assert refused(send(machine, Put(b"k", b""), sequence=1)[0], RefusalCode.SESSION_EXPIRED)
    assert refused(send(machine, Put(b"k", b""), sequence=0)[0], RefusalCode.SESSION_EXPIRED)
    send(machine, Put(b"k", b""), sequence=2**40 + 1, acked_upto=2**40)
    known = machine.sessions.get(7)
    assert known is not None
    assert list(known.outcomes) == [2**40 + 1]


def test_a_refusal_is_remembered_too() -> None:
    machine = KeyValueMachine(LIMITS)
    outcomes = send(machine, Put(b"k", b"", 9), Put(b"k", b""), sequence=1)
    assert refused(outcomes[0], RefusalCode.LEASE_NOT_FOUND)
    assert send(machine, Put(b"k", b"", 9), Put(b"k", b""), sequence=1) == outcomes


def test_large_outcomes_are_remembered_by_their_revision() -> None:
    machine = KeyValueMachine(LIMITS)
    large = Commit(then=(Put(b"k", bytes(2000)), Get(b"k")))
    first = send(machine, large, Put(b"l", b""), sequence=1)
    assert not isinstance(first[0], OutcomeForgotten)
    again = send(machine, large, Put(b"l", b""), sequence=1)
    assert again == [OutcomeForgotten(2), 3]
    assert copy(machine).digest() == machine.digest()


def test_an_expired_session_cannot_come_back() -> None:
    machine = KeyValueMachine(LIMITS)
    send(machine, Put(b"k", b""), sequence=1, birth=10)
    last = machine.applied_index
    send(machine, Put(b"k", b""), sequence=2, birth=10)
    one(machine, ExpireSessions(((7, last),)))
    assert machine.sessions.get(7) is not None
    one(machine, ExpireSessions(((7, last + 1), (8, 1))))
    assert machine.sessions.get(7) is None
    assert machine.sessions.horizon == 10
    restored = copy(machine)
    for each in (machine, restored):
        late = send(each, Put(b"k", b""), Put(b"k", b""), sequence=3, birth=10)
        assert len(late) == 2
        assert refused(late[1], RefusalCode.SESSION_EXPIRED)
        assert send(each, Put(b"k", b""), session=8, sequence=1, birth=11) == [4]
    assert machine.digest() == restored.digest()


def test_the_leader_hears_who_wrote() -> None:
    table = SessionTable(8)
    table.admit(5, 0, 1, 0, 1)
    table.listen()
    for session in (5, 6, 5):
        table.admit(session, 0, 1, 0, 2)
    assert table.take_touched() == [5, 6]
    assert table.take_touched() == []
    table.ignore()
    table.admit(5, 0, 1, 0, 3)
    assert table.take_touched() == []

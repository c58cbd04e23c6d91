"""What the machine refuses, and that refusing changes nothing."""

from __future__ import annotations

import msgspec
import pytest

from quorate.errors import LogDamaged, SnapshotDamaged
from quorate.kv.commands import (
    Batch,
    Command,
    Compact,
    Enqueue,
    Envelope,
    ExpireLeases,
    GrantLease,
    Refusal,
    RefusalCode,
    RevokeLease,
    encode_batch,
    encode_commands,
)
from quorate.kv.machine import KeyValueMachine
from quorate.store import (
    Commit,
    CommitResult,
    Compare,
    CompareOperator,
    CompareTarget,
    Content,
    Delete,
    DeleteRange,
    DeleteResult,
    Enqueued,
    Get,
    KeyValue,
    Limits,
    Put,
    Range,
    RangeResult,
    prefix_range,
    value,
    version,
)

from .cases import LIMITS, entry, envelope, one, refused, run

MALFORMED = Envelope("", 0, 0, 0, 0, 0, b"\x92\x01")
A_LIMIT = Limits(key_bytes=8, value_bytes=16, operations_per_commit=8, commit_bytes=40)


def nested(depth: int) -> Commit:
    commit = Commit(then=(Put(b"k", b"v"),))
    for _ in range(depth - 1):
        commit = Commit(then=(commit,))
    return commit


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Put(b"", b""), RefusalCode.INVALID_REQUEST),
        (Put(b"123456789", b""), RefusalCode.LIMIT_EXCEEDED),
        (Put(b"k", bytes(17)), RefusalCode.LIMIT_EXCEEDED),
        (Put(b"k", b"", 5), RefusalCode.LEASE_NOT_FOUND),
        (Delete(b""), RefusalCode.INVALID_REQUEST),
        (Enqueue(b"q", b""), RefusalCode.LIMIT_EXCEEDED),
        (GrantLease(0, 5000), RefusalCode.INVALID_REQUEST),
        (GrantLease(2**63, 5000), RefusalCode.INVALID_REQUEST),
        (GrantLease(1, 10), RefusalCode.INVALID_REQUEST),
        (GrantLease(1, 10**14), RefusalCode.LIMIT_EXCEEDED),
        (RevokeLease(1), RefusalCode.LEASE_NOT_FOUND),
        (Compact(2), RefusalCode.FUTURE_REVISION),
        (Compact(0), RefusalCode.COMPACTED),
        (Commit(then=(Put(b"k", b""), Put(b"k", b""))), RefusalCode.INVALID_REQUEST),
        (Commit(then=(Put(b"k", b""), Delete(b"k"))), RefusalCode.INVALID_REQUEST),
        (Commit(otherwise=(DeleteRange(b"a", b""), Put(b"k", b""))), RefusalCode.INVALID_REQUEST),
        (Commit(then=(Put(b"a", b""), nested(2), Put(b"k", b""))), RefusalCode.INVALID_REQUEST),
        (Commit(then=(Put(b"a", b""), Put(b"k", b"", 4))), RefusalCode.LEASE_NOT_FOUND),
        (Commit(then=(Put(b"a", b""), Get(b"k", 9))), RefusalCode.FUTURE_REVISION),
        (Commit(then=(Get(b""),)), RefusalCode.INVALID_REQUEST),
        (Commit(then=tuple(Get(b"k") for _ in range(9))), RefusalCode.LIMIT_EXCEEDED),
        (
            Commit(then=(Put(b"a", bytes(16)), Put(b"b", bytes(16)), Put(b"c", bytes(16)))),
            RefusalCode.LIMIT_EXCEEDED,
        ),
        (Commit(when=(value("k") == b"",), then=(nested(8),)), RefusalCode.INVALID_REQUEST),
        (
            Commit(when=(Compare(b"k", CompareTarget.VALUE, CompareOperator.EQUAL, 1),)),
            RefusalCode.INVALID_REQUEST,
        ),
        (
            Commit(when=(Compare(b"k", CompareTarget.VERSION, CompareOperator.LESS, b"1"),)),
            RefusalCode.INVALID_REQUEST,
        ),
        (
            Commit(when=(Compare(b"", CompareTarget.VERSION, CompareOperator.LESS, 1),)),
            RefusalCode.INVALID_REQUEST,
        ),
    ],
)
def test_a_refused_command_changes_nothing(command: Command, code: RefusalCode) -> None:
    machine = KeyValueMachine(A_LIMIT)
    assert refused(one(machine, command), code)
    assert (machine.revision, machine.size_bytes, len(machine.lease_table)) == (1, 0, 0)
    assert machine.history.log_length() == 0


def test_a_commit_reads_its_own_writes_and_counts_one_revision() -> None:
    machine = KeyValueMachine(LIMITS)
    one(machine, Put(b"a", b"old"))
    outcome = one(
        machine,
        Commit(
            then=(
                Get(b"a"),
                Range(b"", b"", revision=2),
                Put(b"a", b"new"),
                Put(b"b", b"new"),
                Get(b"a"),
                Get(b"a", 2),
                Range(b"", b"", revision=2),
                prefix_range(b"b"),
                Delete(b"c"),
            )
        ),
    )
    old, new = KeyValue(b"a", b"old", 2, 2, 1), KeyValue(b"a", b"new", 2, 3, 2)
    at_two = RangeResult((old,), 1, 2)
    created = KeyValue(b"b", b"new", 3, 3, 1)
    in_b = RangeResult((created,), 1, 3)
    results = (old, at_two, 3, 3, new, old, at_two, in_b, DeleteResult(0, 3))
    assert outcome == CommitResult(succeeded=True, revision=3, results=results)
    assert machine.revision == 3


def test_nested_conditions_see_the_state_before_the_commit() -> None:
    machine = KeyValueMachine(LIMITS)
    inner = Commit(when=(version("a") == 0,), then=(Put(b"b", b"absent"),))
    one(machine, Commit(then=(Put(b"a", b""), inner)))
    assert machine.read([Get(b"b")]) == [KeyValue(b"b", b"absent", 2, 2, 1)]


def test_a_commit_that_reads_a_compacted_revision_is_refused_whole() -> None:
    machine = KeyValueMachine(LIMITS)
    run(machine, Put(b"a", b"1"), Put(b"a", b"2"), Compact(3))
    outcome = one(machine, Commit(then=(Put(b"a", b"3"), Get(b"a", 2))))
    assert refused(outcome, RefusalCode.COMPACTED)
    assert machine.revision == 3
    untaken = Commit(when=(version("a") == 0,), then=(Get(b"a", 2),), otherwise=(Get(b"a", 3),))
    assert isinstance(one(machine, untaken), CommitResult)


def test_enqueue_makes_keys_in_order_and_never_overwrites() -> None:
    machine = KeyValueMachine(LIMITS)
    assert one(machine, Enqueue(b"q/", b"")) == Enqueued(b"q/0000000000000002", 2)
    one(machine, Put(b"q/0000000000000004", b"by hand"))
    assert refused(one(machine, Enqueue(b"q/", b"")), RefusalCode.INVALID_REQUEST)


def test_a_full_store_refuses_puts_and_accepts_what_makes_room() -> None:
    machine = KeyValueMachine(Limits(quota_bytes=1000))
    while machine.size_bytes < 1000:
        one(machine, Put(b"k", bytes(100)))
    for command in (
        Put(b"k", b""),
        Commit(then=(Put(b"k", b""),)),
        Enqueue(b"q", b""),
    ):
        assert refused(one(machine, command), RefusalCode.QUOTA_EXCEEDED)
    assert one(machine, GrantLease(1, 5000)) is None
    assert isinstance(one(machine, Commit(then=(Get(b"k"),))), CommitResult)
    assert isinstance(one(machine, Delete(b"k")), DeleteResult)
    assert one(machine, Compact(machine.revision)) is None
    assert machine.size_bytes == 0
    assert isinstance(one(machine, Put(b"k", b"")), int)


def test_a_compaction_counts_at_once_and_is_given_back_in_slices() -> None:
    machine = KeyValueMachine(LIMITS)
    run(machine, *(Put(b"k%d" % (n % 500), b"v") for n in range(2000)))
    replica = KeyValueMachine(LIMITS)
    replica.restore(machine.capture())
    pinned = machine.capture()
    for each in (machine, replica):
        one(each, Compact(1500))
    assert machine.size_bytes == replica.size_bytes
    assert machine.sweep(10)
    before = machine.history.log_length()
    assert machine.sweep(10)
    assert machine.history.log_length() == before
    del pinned
    while machine.sweep(100):
        pass
    assert machine.history.log_length() == 2001 - 1500
    assert machine.digest() == replica.digest()
    assert refused(machine.read([Get(b"k1", 1499)])[0], RefusalCode.COMPACTED)
    assert machine.read([Get(b"k1", 1500)]) == replica.read([Get(b"k1", 1500)])


def test_pages_hold_the_limits_and_one_item_at_least() -> None:
    machine = KeyValueMachine(Limits(page_items=3, page_bytes=300))
    run(machine, *(Put(b"k%d" % n, bytes(100)) for n in range(5)), Put(b"z", bytes(1000)))
    (by_bytes, by_items, large) = machine.read(
        [Range(), Range(b"", b"z", content=Content.KEYS), Range(b"z")]
    )
    assert isinstance(by_bytes, RangeResult)
    assert (len(by_bytes.items), by_bytes.count, by_bytes.more) == (2, 6, True)
    assert isinstance(by_items, RangeResult)
    assert (len(by_items.items), by_items.count, by_items.more) == (3, 5, True)
    assert isinstance(large, RangeResult)
    assert (len(large.items), large.more) == (1, False)


def deep(levels: int) -> bytes:
    return (
        b"\x92"
        + encode_commands([Put(b"k", b"v")])[1:]
        + b"\x94\x0f\x90\x91" * levels
        + (b"\x92\x0d\xc4\x01a" + b"\x90" * levels)
    )


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"", 1),
        (b"\xc1", 1),
        (b"\x92\x01\x02", 2),
        (b"\xdc\x00\x03\x01\x02\x03", 3),
        (b"\xdd\xff\xff\xff\xff\x01", 1),
        (encode_commands([Put("text", b"")]), 1),  # type: ignore[arg-type]  # the mistake under test
        (encode_commands([Put(b"k", b"v"), msgspec.Raw(b"\x92\x0c\xa1\xff")]), 2),
        (encode_commands([Put(b"k", b"v")])[:-1], 1),
        (b"\x91\x95\x0c\xc4\x01k\xc4\x01v\x00" + b"\x91" * 5000 + b"\x00", 1),
        (deep(9), 2),
        (deep(500), 2),
        (deep(50_000), 2),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_whole(body: bytes, count: int) -> None:
    machine = KeyValueMachine(LIMITS)
    data = entry(Envelope("", 0, 0, 0, 0, 0, body), envelope([Put(b"good", b"")]))
    (_, outcomes), (_, good) = machine.apply(1, data)
    assert len(outcomes) == count
    assert all(refused(outcome, RefusalCode.INVALID_REQUEST) for outcome in outcomes)
    assert good == [2]


def test_depth_up_to_the_limit_is_fine() -> None:
    machine = KeyValueMachine(LIMITS)
    assert isinstance(one(machine, nested(LIMITS.commit_depth)), CommitResult)
    assert refused(one(machine, nested(LIMITS.commit_depth + 1)), RefusalCode.INVALID_REQUEST)


def test_an_entry_that_cannot_be_read_stops_the_node() -> None:
    machine = KeyValueMachine(LIMITS)
    for data in (b"", b"\xc1", encode_batch(Batch(99, 0, ()))):
        with pytest.raises(LogDamaged):
            machine.apply(1, data)
    machine.apply(5, entry())
    with pytest.raises(ValueError, match="entry 5 after entry 5"):
        machine.apply(5, entry())


def test_time_never_goes_back() -> None:
    machine = KeyValueMachine(LIMITS)
    machine.apply(1, entry(time_ms=50))
    machine.apply(3, entry(time_ms=40))
    assert (machine.time_ms, machine.applied_index) == (50, 3)


def test_a_damaged_snapshot_restores_nothing() -> None:
    machine = KeyValueMachine(LIMITS)
    run(machine, *(Put(b"k%d" % n, b"v") for n in range(20)))
    stream = b"".join(machine.capture())
    other = KeyValueMachine(LIMITS)
    one(other, Put(b"mine", b""))
    before = other.digest()
    flipped = bytearray(stream)
    flipped[len(stream) // 2] ^= 1
    for damaged in (b"", stream[:-1], bytes(flipped), stream[10:]):
        with pytest.raises(SnapshotDamaged):
            other.restore([damaged])
        assert other.digest() == before


def test_a_large_capture_comes_in_slices() -> None:
    machine = KeyValueMachine(LIMITS)
    run(machine, *(Put(b"k%04d" % n, bytes(1000)) for n in range(2000)))
    run(machine, Compact(machine.revision - 500))
    slices = list(machine.capture())
    assert len(slices) > 6
    assert max(map(len, slices)) < 300 * 1024


def test_the_answer_names_the_envelope() -> None:
    machine = KeyValueMachine(LIMITS)
    data = entry(envelope([Put(b"a", b"")]), MALFORMED, envelope([]))
    answers = machine.apply(1, data)
    assert [answer.body for answer, _ in answers][1] == MALFORMED.body
    assert [len(outcomes) for _, outcomes in answers] == [1, 1, 0]


def test_a_client_cannot_use_the_leaders_own_commands() -> None:
    machine = KeyValueMachine(Limits())
    body = encode_commands([GrantLease(1, 5000), ExpireLeases(((1, 1),))])
    ((_, outcomes),) = machine.apply(1, entry(Envelope("anonymous", 0, 0, 0, 0, 0, body)))
    for outcome in outcomes:
        assert isinstance(outcome, Refusal)
        assert outcome.code is RefusalCode.INVALID_REQUEST
    assert len(outcomes) == 2
    assert machine.lease_table.get(1) is None

"""What is given back, and what is kept for a capture."""

from __future__ import annotations

from quorate.kv.commands import Compact
from quorate.kv.history import VERSION_BYTES
from quorate.kv.machine import KeyValueMachine
from quorate.store import Delete, Get, KeyValue, Put

from .cases import LIMITS, copy, one, run


def test_nothing_is_left_of_keys_that_were_deleted_before_the_compaction() -> None:
    machine = KeyValueMachine(LIMITS)
    for n in range(50):
        run(machine, Put(b"%d" % n, b"1"), Put(b"%d" % n, b"2"), Delete(b"%d" % n))
    run(machine, Put(b"7", b"again"), Put(b"7", b"again"))
    one(machine, Compact(machine.revision))
    while machine.sweep(1000):
        pass
    history = machine.history
    assert history.keys_after(None, 100) == [b"7"]
    assert history.log_length() == 0
    assert machine.size_bytes == VERSION_BYTES + len(b"7again")
    assert history.history_bytes == 0


def test_a_running_capture_keeps_what_it_has_not_read() -> None:
    machine = KeyValueMachine(LIMITS)
    run(machine, *(Put(b"%d" % (n % 10), b"%d" % n) for n in range(100)), Delete(b"3"))
    run(machine, Compact(50))
    while machine.sweep(1000):
        pass
    expected = b"".join(copy(machine).capture())
    captured = machine.capture()
    read = next(captured)
    run(machine, *(Delete(b"%d" % n) for n in range(10)))
    one(machine, Compact(machine.revision))
    assert machine.sweep(1000)
    assert read + b"".join(captured) == expected
    assert not machine.sweep(1000)
    assert machine.history.keys_after(None, 10) == []


def test_a_restore_does_not_disturb_a_running_capture() -> None:
    machine = KeyValueMachine(LIMITS)
    run(machine, *(Put(b"%d" % n, b"") for n in range(20)))
    expected = b"".join(machine.capture())
    captured = machine.capture()
    machine.restore(KeyValueMachine(LIMITS).capture())
    assert b"".join(captured) == expected
    assert machine.read([Get(b"1")]) == [None]


def test_one_revision_answers_for_every_later_one() -> None:
    machine = KeyValueMachine(LIMITS)
    run(machine, Put(b"k", b"1"), Put(b"x", b""), Put(b"x", b""), Put(b"k", b"2"), Compact(4))
    machine.sweep(100)
    first = KeyValue(b"k", b"1", 2, 2, 1)
    assert machine.read([Get(b"k", 4)]) == [first]
    assert machine.history.changes_of(b"k", 5, 10) == [KeyValue(b"k", b"2", 2, 5, 2)]

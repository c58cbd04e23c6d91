"""A state that begins a new cluster: above all the old one wrote, and nobody's session."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.errors import Compacted
from quorate.kv.commands import Command, Enqueue, GrantLease
from quorate.kv.machine import KeyValueMachine
from quorate.kv.watches import WatchHub
from quorate.store import Delete, Enqueued, KeyValue, Put, Range, RangeResult
from quorate.store.types import WatchRequest

from .cases import LIMITS, copy, entry, envelope, one, run
from .strategies import commands

RAISE = 1000


def everything(machine: KeyValueMachine) -> tuple[KeyValue, ...]:
    (found,) = machine.read([Range(b"\0", b"")])
    assert isinstance(found, RangeResult)
    return tuple(found.items)


def machine_with_history() -> KeyValueMachine:
    machine = KeyValueMachine(LIMITS)
    run(machine, GrantLease(7, 5000), Put(b"a", b"1"), Put(b"a", b"2"), Put(b"b", b"3", 7))
    run(machine, Put(b"c", b"4"), Delete(b"c"))
    return machine


@given(st.lists(commands, max_size=30), st.lists(commands, max_size=10))
@settings(max_examples=100, deadline=None)
def test_members_made_from_one_state_stay_equal(
    before: list[Command], after: list[Command]
) -> None:
    machine = KeyValueMachine(LIMITS)
    for command in before:
        one(machine, command)
    first, second = copy(machine), copy(machine)
    kept = everything(machine)
    for member in (first, second):
        member.begin_anew(RAISE)
        assert everything(member) == kept
    second = copy(second)
    for command in after:
        assert one(first, command) == one(second, command)
    assert first.digest() == second.digest()


def test_keys_and_leases_stay_as_they_were() -> None:
    machine = machine_with_history()
    before = everything(machine)
    machine.begin_anew(RAISE)
    assert everything(machine) == before
    assert machine.lease_table.keys(7) == (b"b",)
    assert everything(copy(machine)) == before


def test_the_next_revision_lies_above_the_raise() -> None:
    machine = machine_with_history()
    before = machine.revision
    machine.begin_anew(RAISE)
    assert one(machine, Put(b"d", b"")) == before + RAISE + 1
    assert isinstance(order := one(machine, Enqueue(b"q/", b"")), Enqueued)
    assert order.order == before + RAISE + 2


def test_a_watch_from_a_revision_of_the_old_cluster_is_told_that_it_is_compacted() -> None:
    machine = machine_with_history()
    before = machine.revision
    machine.begin_anew(RAISE)
    hub = WatchHub(machine)
    for revision in (1, before, before + RAISE - 1, before + RAISE):
        with pytest.raises(Compacted):
            hub.open(1, revision, WatchRequest(b"a", from_revision=revision))
    hub.open(1, 1, WatchRequest(b"a", from_revision=before + RAISE + 1))


def test_a_session_of_the_old_cluster_is_forgotten() -> None:
    machine = KeyValueMachine(LIMITS)
    machine.apply(1, entry(envelope([Put(b"k", b"")], session=5, sequence=1)))
    machine.begin_anew(RAISE)
    assert len(machine.sessions) == 0


@pytest.mark.parametrize("by", [0, -1])
def test_a_revision_never_falls(by: int) -> None:
    machine = machine_with_history()
    before = machine.digest()
    with pytest.raises(ValueError, match="can't rise"):
        machine.begin_anew(by)
    assert machine.digest() == before

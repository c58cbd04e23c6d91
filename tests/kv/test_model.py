"""The machine against the naive model, with random commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.kv.commands import Command, Refusal
from quorate.kv.machine import KeyValueMachine
from quorate.store import Get, KeyValue, Range

from . import strategies
from .cases import LIMITS, copy, entry, envelope, one
from .model import Model, ModelRefusalError


def comparable(outcome: object) -> object:
    return outcome.code if isinstance(outcome, Refusal) else outcome


def agree(machine: KeyValueMachine, model: Model) -> None:
    assert machine.revision == model.revision
    assert machine.compact_revision == model.compact_revision
    assert dict(sorted(machine.history.live.items())) == dict(sorted(model.now.items()))
    found = {
        lease.id: (lease.ttl_ms, lease.remaining_ms, lease.generation)
        for lease in machine.lease_table
    }
    assert found == model.leases
    for lease in model.leases:
        attached = sorted(key for key, version in model.now.items() if version.lease == lease)
        assert machine.lease_table.keys(lease) == tuple(attached)


@given(st.lists(strategies.commands, max_size=30))
@settings(max_examples=250, deadline=None)
def test_outcomes_and_states_are_the_models(commands: list[Command]) -> None:
    machine, model = KeyValueMachine(LIMITS), Model()
    for index, command in enumerate(commands, 1):
        assert comparable(one(machine, command)) == model.apply(index, command)
        agree(machine, model)
    assert copy(machine).size_bytes == machine.size_bytes


@given(
    st.lists(strategies.commands, max_size=25),
    st.lists(st.one_of(strategies.gets, strategies.ranges), max_size=12),
)
@settings(max_examples=200, deadline=None)
def test_reads_are_the_models(commands: list[Command], queries: list[Get | Range]) -> None:
    machine, model = KeyValueMachine(LIMITS), Model()
    for index, command in enumerate(commands, 1):
        one(machine, command)
        model.apply(index, command)
    for machine_now in (machine, copy(machine)):
        for query, found in zip(queries, machine_now.read(queries), strict=True):
            expected: object
            try:
                if isinstance(query, Get):
                    expected = model.keys_at(query.revision, model.now).get(query.key)
                else:
                    expected = model.read_range(query, model.now)
            except ModelRefusalError as refusal:
                expected = refusal.code
            assert comparable(found) == expected


@given(st.lists(strategies.commands, max_size=30))
@settings(max_examples=100, deadline=None)
def test_the_history_replays_every_event_since_the_compaction(commands: list[Command]) -> None:
    machine, model = KeyValueMachine(LIMITS), Model()
    for index, command in enumerate(commands, 1):
        one(machine, command)
        model.apply(index, command)
    changes = machine.history.changes(machine.compact_revision + 1, 1000)
    found = sorted((c.mod_revision, c.key, c if c.version else None) for c in changes)
    expected = [
        (revision, key, after)
        for revision, key, after, _ in model.events
        if revision > model.compact_revision
    ]
    assert found == sorted(expected, key=lambda event: event[:2])
    for revision, key, _, before in model.events:
        if revision > model.compact_revision:
            assert machine.history.at(key, revision - 1) == before


@given(st.lists(strategies.commands, max_size=40), st.integers(0, 40), st.integers(0, 8))
@settings(max_examples=200, deadline=None)
def test_a_snapshot_is_the_state_of_its_moment_while_applying_goes_on(
    commands: list[Command], moment: int, chunk: int
) -> None:
    machine, still = KeyValueMachine(LIMITS), KeyValueMachine(LIMITS)
    for command in commands[:moment]:
        one(machine, command)
        one(still, command)
    captured = machine.capture()
    chunks = [next(captured)]
    for command in commands[moment:]:
        one(machine, command)
        if len(chunks) % (chunk + 1) == 0:
            chunks.extend(part for part in [next(captured, b"")] if part)
    chunks.extend(captured)
    stream = b"".join(chunks)
    assert stream == b"".join(still.capture())
    restored = KeyValueMachine(LIMITS)
    # Cut anywhere: the transport does not know frames.
    restored.restore(stream[at : at + 7] for at in range(0, len(stream), 7))
    assert restored.digest() == still.digest()
    for command in commands[moment:]:
        assert one(restored, command) == one(still, command)
    assert restored.digest() == still.digest() == machine.digest()
    assert restored.size_bytes == machine.size_bytes


@given(st.lists(strategies.commands, min_size=10, max_size=40), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_giving_memory_back_is_not_seen(commands: list[Command], slice_size: int) -> None:
    eager, lazy = KeyValueMachine(LIMITS), KeyValueMachine(LIMITS)
    pinned = lazy.capture()
    for command in commands:
        assert one(eager, command) == one(lazy, command)
        assert eager.size_bytes == lazy.size_bytes
    while eager.sweep(slice_size):
        pass
    assert eager.digest() == lazy.digest()
    del pinned
    while lazy.sweep(slice_size):
        pass
    assert eager.digest() == lazy.digest()
    kept = lazy.history
    assert len(kept.changes(lazy.compact_revision + 1, 1000)) == kept.log_length()


PROGRAM = """
import sys
from quorate.kv.commands import *
from quorate.kv.machine import KeyValueMachine
from quorate.store import *
machine = KeyValueMachine(Limits())
machine.apply(1, bytes.fromhex(sys.stdin.readline()))
machine.apply(2, bytes.fromhex(sys.stdin.readline()))
print(machine.digest(), hash("a"))
"""


def test_the_digest_does_not_depend_on_the_hash_seed() -> None:
    strategy_free: list[list[Command]] = [[], []]
    from quorate.kv.commands import Compact, GrantLease, RevokeLease
    from quorate.store import Delete, Put

    strategy_free[0] = [GrantLease(lease, 60_000) for lease in (9, 5, 7)]
    strategy_free[0] += [Put(b"key/%d" % n, b"v", 5 + 2 * (n % 3)) for n in range(50)]
    strategy_free[1] = [Delete(b"key/7"), Compact(20), RevokeLease(7)]
    lines = [
        entry(envelope(commands, session=s, sequence=1)).hex() + "\n"
        for s, commands in zip((77, 33), strategy_free, strict=True)
    ]
    found = []
    for seed in ("1", "2"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input="".join(lines),
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            cwd=Path.cwd(),
        )
        found.append(done.stdout.split())
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_versions_count_and_creation_starts_anew() -> None:
    from quorate.store import Delete, Put

    machine = KeyValueMachine(LIMITS)
    assert machine.revision == 1
    assert [one(machine, Put(b"k", b"1")), one(machine, Put(b"k", b"2"))] == [2, 3]
    one(machine, Delete(b"k"))
    one(machine, Put(b"k", b"3"))
    assert machine.read([Get(b"k")]) == [KeyValue(b"k", b"3", 5, 5, 1)]
    assert machine.read([Get(b"k", 3)]) == [KeyValue(b"k", b"2", 2, 3, 2)]

"""What can be said about a commit without looking at the state.

Law: no branch may change a key twice, so that a key has one version per revision. The two
branches of a nested commit exclude each other and may name the same keys. This is etcd's
rule, and a little more: etcd lets a nested commit delete what an earlier one put.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from quorate.kv.refuse import empty_key, invalid, limit_exceeded
from quorate.store.limits import Limits
from quorate.store.types import (
    Commit,
    Compare,
    CompareTarget,
    Delete,
    DeleteRange,
    Get,
    Operation,
    Put,
)

_SHOWN: Final = 64
"""Bytes of a key that a message shows: outcomes are kept, so they stay short."""


class _Writes:
    """The keys that some operations may put, and the ranges that they may delete."""

    __slots__ = ("deletes", "puts")

    def __init__(self) -> None:
        self.puts: dict[bytes, None] = {}
        self.deletes: list[tuple[bytes, bytes]] = []

    def add_put(self, key: bytes) -> None:
        if key in self.puts:
            raise invalid(f"the commit puts {key[:_SHOWN]!r} twice")
        self.puts[key] = None

    def add(self, other: _Writes) -> None:
        """Add what another operation of the same branch may write."""
        # Before the merge: `other` may hold both branches of one commit, which don't clash.
        _refuse_overlap(self, other)
        _refuse_overlap(other, self)
        for key in other.puts:
            self.add_put(key)
        self.deletes += other.deletes

    def add_alternative(self, other: _Writes) -> None:
        """Add what may be written instead."""
        self.puts.update(other.puts)
        self.deletes += other.deletes


def _refuse_overlap(one: _Writes, other: _Writes) -> None:
    if not one.deletes or not other.puts:
        return
    keys = sorted(other.puts)
    for start, end in one.deletes:
        place = bisect_left(keys, start)
        if place < len(keys) and (not end or keys[place] < end):
            raise invalid(f"the commit both puts and deletes {keys[place][:_SHOWN]!r}")


class _Count:
    """What was counted in a commit so far."""

    __slots__ = ("compares", "operations", "size")

    def __init__(self) -> None:
        self.compares = 0
        self.operations = 0
        self.size = 0


def check_commit(commit: Commit, limits: Limits) -> None:
    """Refuse a commit that makes no sense or is over a limit. Raises `CommandRefusedError`."""
    count = _Count()
    _check_level(commit, limits, count, 1)
    if count.size > limits.commit_bytes:
        raise limit_exceeded("bytes of a commit", count.size, limits.commit_bytes)


def commit_depth(commit: Commit) -> int:
    """Return how many commits stand in one another at the deepest place."""
    depth = 0
    level: list[Commit] = [commit]
    while level:
        depth += 1
        level = [
            operation
            for outer in level
            for operation in (*outer.then, *outer.otherwise)
            if isinstance(operation, Commit)
        ]
    return depth


def _check_level(commit: Commit, limits: Limits, count: _Count, depth: int) -> _Writes:
    if depth > limits.commit_depth:
        raise limit_exceeded("depth of a commit", depth, limits.commit_depth)
    count.compares += len(commit.when)
    count.operations += len(commit.then) + len(commit.otherwise)
    highest = max(count.compares, count.operations)
    if highest > limits.operations_per_commit:
        raise limit_exceeded("operations of a commit", highest, limits.operations_per_commit)
    for compare in commit.when:
        _check_compare(compare, count)
    writes = _check_branch(commit.then, limits, count, depth)
    if commit.otherwise:
        writes.add_alternative(_check_branch(commit.otherwise, limits, count, depth))
    return writes


def _check_compare(compare: Compare, count: _Count) -> None:
    if not compare.key and compare.end is None:
        raise empty_key()
    operand = compare.operand
    if isinstance(operand, bytes):
        count.size += len(operand)
    if isinstance(operand, bytes) is not (compare.target is CompareTarget.VALUE):
        raise invalid("a value is compared with bytes, everything else with a number")
    count.size += len(compare.key)


def _check_branch(
    operations: Sequence[Operation], limits: Limits, count: _Count, depth: int
) -> _Writes:
    writes = _Writes()
    nested: list[Commit] = []
    for operation in operations:
        if isinstance(operation, Put):
            check_key_value(operation.key, operation.value, limits)
            count.size += len(operation.key) + len(operation.value)
            writes.add_put(operation.key)
        elif isinstance(operation, Commit):
            nested.append(operation)
        elif isinstance(operation, (Get, Delete)) and not operation.key:
            raise empty_key()
        elif isinstance(operation, Delete):
            writes.deletes.append((operation.key, operation.key + b"\0"))
        elif isinstance(operation, DeleteRange):
            writes.deletes.append((operation.start, operation.end))
    _refuse_overlap(writes, writes)
    for commit in nested:
        writes.add(_check_level(commit, limits, count, depth + 1))
    return writes


def check_key_value(key: bytes, value: bytes, limits: Limits) -> None:
    """Refuse an empty key, and a key or value over its limit."""
    if not key:
        raise empty_key()
    if len(key) > limits.key_bytes:
        raise limit_exceeded("bytes of a key", len(key), limits.key_bytes)
    if len(value) > limits.value_bytes:
        raise limit_exceeded("bytes of a value", len(value), limits.value_bytes)

"""The evaluation of commits, as etcd evaluates its transactions.

Laws: a commit is all or nothing. Its shape is judged without looking at the state, both
branches of it. Then every condition, nested ones too, is evaluated against the state before
the commit; then the branches taken are validated, the writes of all before the reads of any;
only then anything is changed, at one revision. Reads see the writes that stand before them in
the same commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import eq, gt, lt, ne
from typing import Any, Final

from quorate.kv import reads
from quorate.kv.refuse import check_revision, lease_not_found, quota_exceeded
from quorate.kv.state import State
from quorate.store.limits import Limits
from quorate.store.types import (
    Commit,
    CommitResult,
    Compare,
    CompareOperator,
    CompareTarget,
    Delete,
    DeleteRange,
    DeleteResult,
    Get,
    KeyValue,
    Put,
    Range,
    RangeResult,
)

_ABSENT: Final = KeyValue(b"", b"", 0, 0, 0)

_OPERATORS: Final[dict[CompareOperator, Callable[[Any, Any], bool]]] = {
    CompareOperator.EQUAL: eq,
    CompareOperator.NOT_EQUAL: ne,
    CompareOperator.LESS: lt,
    CompareOperator.GREATER: gt,
}
_ATTRIBUTES: Final[dict[CompareTarget, str]] = {
    CompareTarget.VALUE: "value",
    CompareTarget.VERSION: "version",
    CompareTarget.CREATE_REVISION: "create_revision",
    CompareTarget.MOD_REVISION: "mod_revision",
    CompareTarget.LEASE: "lease",
}


def holds(compare: Compare, state: State) -> bool:
    """Tell whether a condition holds; over a range, whether it holds for every key there.

    An empty range counts as one absent key, and an absent key has no value to compare.
    """
    history = state.history
    if compare.end is None:
        version = history.live.get(compare.key)
        return _holds_for(compare, version)
    empty = True
    for version in history.live_ascending(compare.key, compare.end):
        if not _holds_for(compare, version):
            return False
        empty = False
    return not empty or _holds_for(compare, None)


def _holds_for(compare: Compare, version: KeyValue | None) -> bool:
    if version is None:
        if compare.target is CompareTarget.VALUE:
            return False
        version = _ABSENT
    attribute = getattr(version, _ATTRIBUTES[compare.target])
    return _OPERATORS[compare.operator](attribute, compare.operand)


class CommitRun:
    """One commit whose shape was checked, on its way through evaluation to execution."""

    __slots__ = ("_limits", "_path", "_puts", "_reads_past", "_room", "_state")

    def __init__(self, state: State, limits: Limits) -> None:
        self._state = state
        self._limits = limits
        self._path: list[bool] = []
        self._puts = 0
        self._reads_past = False
        self._room = limits.page_bytes

    def execute(self, commit: Commit) -> CommitResult:
        """Run a commit. Raises `CommandRefusedError`, and then nothing was changed.

        The caller moves to the next revision if the commit changed anything.
        """
        self._evaluate(commit)
        self._validate_writes(commit, iter(self._path))
        if self._reads_past:
            self._validate_reads(commit, iter(self._path))
        history = self._state.history
        if self._puts and history.size_bytes >= self._limits.quota_bytes:
            raise quota_exceeded(history.size_bytes, self._limits.quota_bytes)
        before = history.log_length()
        return self._perform(commit, iter(self._path), history.revision + 1, before)

    def _evaluate(self, commit: Commit) -> None:
        """Append to the path which branch each commit takes, outer before inner."""
        succeeded = True
        for compare in commit.when:
            if not holds(compare, self._state):
                succeeded = False
                break
        self._path.append(succeeded)
        for operation in commit.then if succeeded else commit.otherwise:
            if isinstance(operation, Commit):
                self._evaluate(operation)

    def _validate_writes(self, commit: Commit, path: Iterator[bool]) -> None:
        for operation in commit.then if next(path) else commit.otherwise:
            if isinstance(operation, Put):
                self._puts += 1
                if operation.lease and operation.lease not in self._state.leases:
                    raise lease_not_found(operation.lease)
            elif isinstance(operation, (Get, Range)):
                self._reads_past = self._reads_past or operation.revision > 0
            elif isinstance(operation, Commit):
                self._validate_writes(operation, path)

    def _validate_reads(self, commit: Commit, path: Iterator[bool]) -> None:
        history = self._state.history
        for operation in commit.then if next(path) else commit.otherwise:
            if isinstance(operation, (Get, Range)):
                check_revision(operation.revision, history.revision, history.compact_revision)
            elif isinstance(operation, Commit):
                self._validate_reads(operation, path)

    def _perform(
        self, commit: Commit, path: Iterator[bool], revision: int, before: int
    ) -> CommitResult:
        succeeded = next(path)
        results: list[int | KeyValue | RangeResult | DeleteResult | CommitResult | None] = []
        for operation in commit.then if succeeded else commit.otherwise:
            if isinstance(operation, Put):
                self._state.put(operation.key, operation.value, operation.lease, revision)
                results.append(revision)
            elif isinstance(operation, Get):
                results.append(reads.get(self._state.history, operation))
            elif isinstance(operation, Commit):
                results.append(self._perform(operation, path, revision, before))
            elif isinstance(operation, Range):
                results.append(self._read_range(operation, before))
            else:
                deleted = self._delete(operation, revision)
                results.append(DeleteResult(deleted, self._reached(before)))
        return CommitResult(succeeded, self._reached(before), tuple(results))

    def _delete(self, operation: Delete | DeleteRange, revision: int) -> int:
        if isinstance(operation, Delete):
            return self._state.delete(operation.key, revision)
        return self._state.delete_range(operation.start, operation.end, revision)

    def _reached(self, before: int) -> int:
        """Return the revision at this point of the commit."""
        history = self._state.history
        return history.revision + (history.log_length() > before)

    def _read_range(self, query: Range, before: int) -> RangeResult:
        result = reads.read_range(self._state.history, query, self._limits, self._room)
        # All ranges of a commit share one page's bytes: the outcome has to fit a frame.
        self._room = max(0, self._room - reads.result_bytes(result))
        if query.revision > 0:
            return result
        return RangeResult(result.items, result.count, self._reached(before), result.more)

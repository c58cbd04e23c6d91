"""A naive model of etcd's semantics: one dict per revision, everything copied.

It shares no code with the machine beyond the value types, and is written for reading.
"""

from __future__ import annotations

from typing import Any

from quorate.kv.commands import (
    CheckpointLeases,
    Command,
    Compact,
    Enqueue,
    ExpireLeases,
    GrantLease,
    RefusalCode,
    RevokeLease,
)
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
    Direction,
    Enqueued,
    Get,
    KeyValue,
    Operation,
    Put,
    Range,
    RangeOrder,
    RangeResult,
)

Keys = dict[bytes, KeyValue]


class ModelRefusalError(Exception):
    def __init__(self, code: RefusalCode) -> None:
        super().__init__(code.name)
        self.code = code


def inside(key: bytes, start: bytes, end: bytes) -> bool:
    return start <= key and (not end or key < end)


class Model:
    def __init__(self) -> None:
        self.states: dict[int, Keys] = {1: {}}
        self.revision = 1
        self.compact_revision = 0
        self.events: list[tuple[int, bytes, KeyValue | None, KeyValue | None]] = []
        self.leases: dict[int, tuple[int, int, int]] = {}

    @property
    def now(self) -> Keys:
        return self.states[self.revision]

    def apply(self, index: int, command: Command) -> object:
        working = dict(self.now)
        leases = dict(self.leases)
        try:
            outcome = self.perform(index, command, working)
        except ModelRefusalError as refusal:
            self.leases = leases
            return refusal.code
        self.finish(working)
        return outcome

    def finish(self, working: Keys) -> None:
        if working == self.now:
            return
        before = self.now
        self.revision += 1
        self.states[self.revision] = working
        for key in sorted({*before, *working}):
            if before.get(key) != working.get(key):
                self.events.append((self.revision, key, working.get(key), before.get(key)))

    def perform(  # noqa: PLR0911  # one answer per command
        self, index: int, command: Command, working: Keys
    ) -> object:
        match command:
            case Commit():
                refuse_twice(command)
                return self.commit(command, working)
            case Put():
                return self.put(command, working)
            case Delete():
                gone = working.pop(command.key, None) is not None
                return DeleteResult(int(gone), self.revision + gone)
            case DeleteRange():
                return self.delete_range(command, working)
            case Enqueue():
                key = command.prefix + b"%016x" % (self.revision + 1)
                self.put(Put(key, command.value, command.lease), working)
                return Enqueued(key, self.revision + 1)
            case Compact():
                if command.revision > self.revision:
                    raise ModelRefusalError(RefusalCode.FUTURE_REVISION)
                if command.revision <= self.compact_revision:
                    raise ModelRefusalError(RefusalCode.COMPACTED)
                self.compact_revision = command.revision
                return None
            case _:
                self.lease_command(index, command, working)
                return None

    def lease_command(  # noqa: C901  # one branch per command
        self, index: int, command: Command, working: Keys
    ) -> None:
        match command:
            case GrantLease():
                if command.id in self.leases:
                    raise ModelRefusalError(RefusalCode.LEASE_EXISTS)
                self.leases[command.id] = (command.ttl_ms, 0, index)
            case RevokeLease():
                if command.id not in self.leases:
                    raise ModelRefusalError(RefusalCode.LEASE_NOT_FOUND)
                self.end_lease(command.id, working)
            case ExpireLeases():
                for lease, generation in command.leases:
                    if lease in self.leases and self.leases[lease][2] == generation:
                        self.end_lease(lease, working)
                        # Each lease ends at a revision of its own.
                        self.finish(working)
                        fresh = dict(working)
                        working.clear()
                        working.update(fresh)
            case CheckpointLeases():
                for lease, remaining in command.leases:
                    if lease in self.leases:
                        ttl = self.leases[lease][0]
                        kept = remaining if 0 < remaining < ttl else 0
                        self.leases[lease] = (ttl, kept, index)
            case _:
                raise AssertionError(command)

    def end_lease(self, lease: int, working: Keys) -> None:
        del self.leases[lease]
        for key, version in list(working.items()):
            if version.lease == lease:
                del working[key]

    def put(self, command: Put, working: Keys) -> int:
        if command.lease and command.lease not in self.leases:
            raise ModelRefusalError(RefusalCode.LEASE_NOT_FOUND)
        revision = self.revision + 1
        before = working.get(command.key)
        created = before.create_revision if before else revision
        version = before.version + 1 if before else 1
        working[command.key] = KeyValue(
            command.key, command.value, created, revision, version, command.lease
        )
        return revision

    def delete_range(self, command: DeleteRange, working: Keys) -> DeleteResult:
        doomed = [key for key in working if inside(key, command.start, command.end)]
        for key in doomed:
            del working[key]
        return DeleteResult(len(doomed), self.revision + bool(doomed))

    def commit(self, command: Commit, working: Keys) -> CommitResult:
        succeeded = all(self.holds(compare) for compare in command.when)
        results: list[object] = []
        for operation in command.then if succeeded else command.otherwise:
            match operation:
                case Put():
                    results.append(self.put(operation, working))
                case Get():
                    results.append(self.keys_at(operation.revision, working).get(operation.key))
                case Range():
                    results.append(self.read_range(operation, working))
                case Delete():
                    gone = working.pop(operation.key, None) is not None
                    reached = self.revision + (working != self.now)
                    results.append(DeleteResult(int(gone), reached))
                case DeleteRange():
                    deleted = self.delete_range(operation, working).deleted
                    reached = self.revision + (working != self.now)
                    results.append(DeleteResult(deleted, reached))
                case Commit():
                    results.append(self.commit(operation, working))
        reached = self.revision + (working != self.now)
        return CommitResult(succeeded, reached, tuple(results))  # type: ignore[arg-type]  # the model is untyped inside

    def holds(self, compare: Compare) -> bool:
        if compare.end is None:
            found = [self.now.get(compare.key)]
        else:
            found = [
                version
                for key, version in self.now.items()
                if inside(key, compare.key, compare.end)
            ] or [None]
        return all(compare_one(compare, version) for version in found)

    def keys_at(self, revision: int, working: Keys) -> Keys:
        if revision <= 0:
            return working
        if revision > self.revision:
            raise ModelRefusalError(RefusalCode.FUTURE_REVISION)
        if revision < self.compact_revision:
            raise ModelRefusalError(RefusalCode.COMPACTED)
        return self.states[revision]

    def read_range(self, query: Range, working: Keys) -> RangeResult:
        keys = self.keys_at(query.revision, working)
        reached = query.revision if query.revision > 0 else self.revision + (working != self.now)
        found = [
            version
            for key, version in sorted(keys.items())
            if inside(key, query.start, query.end)
            and version.mod_revision >= query.min_mod_revision
            and version.create_revision >= query.min_create_revision
            and (not query.max_mod_revision or version.mod_revision <= query.max_mod_revision)
            and (
                not query.max_create_revision
                or version.create_revision <= query.max_create_revision
            )
        ]
        if query.content is Content.COUNT:
            return RangeResult((), len(found), reached)
        descending = query.direction is Direction.DESCENDING
        name = RangeOrder(query.order).name.lower()
        found.sort(key=lambda version: getattr(version, name), reverse=descending)
        page = found[: query.limit] if query.limit > 0 else found
        if query.content is Content.KEYS:
            page = [
                KeyValue(v.key, b"", v.create_revision, v.mod_revision, v.version, v.lease)
                for v in page
            ]
        return RangeResult(tuple(page), len(found), reached, len(page) < len(found))


def compare_one(compare: Compare, version: KeyValue | None) -> bool:
    if version is None and compare.target is CompareTarget.VALUE:
        return False
    name = CompareTarget(compare.target).name.lower()
    left: Any = getattr(version, name) if version is not None else 0
    right: Any = compare.operand
    return bool(
        {
            CompareOperator.EQUAL: left == right,
            CompareOperator.NOT_EQUAL: left != right,
            CompareOperator.LESS: left < right,
            CompareOperator.GREATER: left > right,
        }[compare.operator]
    )


def refuse_twice(commit: Commit) -> None:
    """Refuse a commit of which some path through its branches writes a key twice."""
    for path in paths(commit):
        puts = [op.key for op in path if isinstance(op, Put)]
        if len(puts) != len(set(puts)):
            raise ModelRefusalError(RefusalCode.INVALID_REQUEST)
        for operation in path:
            if isinstance(operation, Delete) and operation.key in puts:
                raise ModelRefusalError(RefusalCode.INVALID_REQUEST)
            if isinstance(operation, DeleteRange) and any(
                inside(key, operation.start, operation.end) for key in puts
            ):
                raise ModelRefusalError(RefusalCode.INVALID_REQUEST)


def paths(commit: Commit) -> list[list[Operation]]:
    """Return, for every way through the branches, the plain operations on it."""
    ways: list[list[Operation]] = []
    for branch in (commit.then, commit.otherwise):
        branch_ways: list[list[Operation]] = [[]]
        for operation in branch:
            nested: list[list[Operation]] = [[operation]]
            if isinstance(operation, Commit):
                nested = paths(operation)
            branch_ways = [way + more for way in branch_ways for more in nested]
        ways += branch_ways
    return ways

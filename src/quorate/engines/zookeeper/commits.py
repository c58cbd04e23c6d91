"""A commit as ZooKeeper's multi: pure, from what was seen of its nodes.

A multi knows no conditions but "has this version" and "is not there". So the conditions are
judged on what was read, and the multi is pinned to it: it fails if anything has changed since,
and then all is read anew.

A version alone does not tell a node from one that was deleted and created anew since. Therefore
each deletion also writes the directory that it is in, and what a condition relies on is pinned
together with its directory. Only the end of a session deletes without that: a condition may rely
on an ephemeral node of the session that sends the multi, and on no other's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from quorate.codecs.zookeeper import records
from quorate.codecs.zookeeper.records import Acl, CreateMode, Operation
from quorate.engines.zookeeper.paths import parent_of
from quorate.engines.zookeeper.tree import DIRECTORY, Found, Looked, lease_of
from quorate.errors import InvalidRequest, UnsupportedByEngine
from quorate.store.types import Compare, CompareOperator, CompareTarget, Delete, Put

Part = tuple[Operation, bytes]
_OPERATORS: Final[dict[CompareOperator, Callable[[int | bytes, int | bytes], bool]]] = {
    CompareOperator.EQUAL: lambda left, right: left == right,
    CompareOperator.NOT_EQUAL: lambda left, right: left != right,
    CompareOperator.LESS: lambda left, right: left < right,  # type: ignore[operator]  # both alike
    CompareOperator.GREATER: lambda left, right: left > right,  # type: ignore[operator]  # both alike
}


class Sight(NamedTuple):
    """What was seen: the nodes of the commit's keys, by key, and their directories, by path."""

    paths: Mapping[bytes, str]
    nodes: Mapping[bytes, Looked]
    directories: Mapping[str, Looked]


class Plan(NamedTuple):
    """The multi that does a commit, and the lease whose session must send it (0: any)."""

    parts: tuple[Part, ...]
    lease: int
    missing: tuple[str, ...]
    """Directories that must be there first."""
    deleted: frozenset[bytes]
    """The keys that are there and will be deleted."""


def holds(condition: Compare, looked: Looked) -> bool:
    """Tell whether a condition holds for what was seen of its key."""
    found = _as_key(looked)
    if condition.target is CompareTarget.VALUE and found is None:
        return False
    return _OPERATORS[condition.operator](_attribute(condition.target, found), condition.operand)


def plan(
    when: Sequence[Compare],
    then: Sequence[Put | Delete],
    sight: Sight,
    own_leases: frozenset[int],
    acl: Acl,
) -> Plan:
    """Plan a commit whose conditions hold. Raises UnsupportedByEngine, InvalidRequest."""
    return _Planning(when, then, sight, own_leases, acl).plan()


class _Planning:
    """One commit's planning."""

    def __init__(
        self,
        when: Sequence[Compare],
        then: Sequence[Put | Delete],
        sight: Sight,
        own_leases: frozenset[int],
        acl: Acl,
    ) -> None:
        self._sight = sight
        self._own_leases = own_leases
        self._acl = acl
        self._then = {operation.key: operation for operation in then}
        if len(self._then) < len(then):
            raise InvalidRequest("a commit writes a key twice: zookeeper: put each key in it once")
        self._relied_on = list(dict.fromkeys(condition.key for condition in when))
        if len(then) > 1:
            # That there is nothing to delete is then part of what happens at once.
            absent = [key for key in self._then if self._node(key) is None]
            deletes = [key for key in absent if isinstance(self._then[key], Delete)]
            self._relied_on += [key for key in deletes if key not in self._relied_on]
        self._lease = 0
        self._pinned: dict[str, None] = {}
        """Directories that must not have changed."""
        self._emptied: dict[str, None] = {}
        """Directories in which something is deleted."""
        self._parts: list[Part] = []
        self._needed: dict[str, None] = {}

    def plan(self) -> Plan:
        for key in self._relied_on:
            self._rely_on(key)
        deleted = frozenset(
            operation.key
            for operation in self._then.values()
            if isinstance(operation, Delete) and self._node(operation.key) is not None
        )
        for operation in self._then.values():
            if isinstance(operation, Put):
                self._put(operation)
            elif operation.key in deleted:
                self._delete(operation.key)
        missing = tuple(at for at in self._needed if self._sight.directories[at] is None)
        parts = (*self._directory_parts(), *self._parts)
        return Plan(parts, self._lease, missing, deleted)

    def _rely_on(self, key: bytes) -> None:
        looked, path = self._sight.nodes[key], self._path(key)
        if looked is None:
            if not isinstance(self._then.get(key), Put):
                # It is not there if it can be created.
                self._needed[parent_of(path)] = None
                self._parts += [self._creation(path, b"", CreateMode.PERSISTENT)]
                self._parts += [(Operation.DELETE, records.versioned(path))]
            return
        owner = lease_of(looked.stat)
        if owner and owner not in self._own_leases:
            raise UnsupportedByEngine(
                f"zookeeper cannot make a commit depend on {key[:80]!r}, which is attached to "
                "another client's lease: it may end in between; compare a key without a lease"
            )
        if owner:
            self._send_with(owner)
        self._pinned[parent_of(path)] = None
        if key not in self._then or _as_key(looked) is None:
            self._parts += [(Operation.CHECK, records.versioned(path, looked.stat.version))]

    def _put(self, put: Put) -> None:
        looked, path = self._sight.nodes[put.key], self._path(put.key)
        if put.lease:
            self._send_with(put.lease)
        if looked is None:
            mode = CreateMode.EPHEMERAL if put.lease else CreateMode.PERSISTENT
            self._needed[parent_of(path)] = None
            self._parts += [self._creation(path, put.value, mode)]
            return
        if looked.data == DIRECTORY:
            raise UnsupportedByEngine(
                f"zookeeper keeps other keys under {put.key[:80]!r}/, so it can be no key itself: "
                "choose another name"
            )
        if lease_of(looked.stat) != put.lease:
            raise UnsupportedByEngine(
                f"zookeeper cannot change which lease {put.key[:80]!r} is attached to: "
                "delete it first"
            )
        body = records.set_data(path, put.value, looked.stat.version)
        self._parts += [(Operation.SET_DATA, body)]

    def _delete(self, key: bytes) -> None:
        looked, path = self._sight.nodes[key], self._path(key)
        assert looked is not None
        self._emptied[parent_of(path)] = None
        self._parts += [(Operation.DELETE, records.versioned(path, looked.stat.version))]

    def _directory_parts(self) -> list[Part]:
        """Pin the directories, and write those in which something is deleted."""
        written = {self._path(key) for key in self._then}
        parts: list[Part] = []
        for at in dict.fromkeys((*self._pinned, *self._emptied)):
            seen = self._sight.directories[at]
            if seen is None or at in written:
                # It was deleted since, which the multi will find out, or is pinned as a key.
                continue
            # A directory of ours never holds anything else; another node keeps what it holds.
            free = at not in self._pinned and seen.data == DIRECTORY
            version = records.ANY_VERSION if free else seen.stat.version
            if at in self._emptied:
                parts += [(Operation.SET_DATA, records.set_data(at, seen.data, version))]
            else:
                parts += [(Operation.CHECK, records.versioned(at, version))]
        return parts

    def _creation(self, path: str, value: bytes, mode: CreateMode) -> Part:
        return Operation.CREATE, records.create(path, value, mode, self._acl)

    def _send_with(self, lease: int) -> None:
        if self._lease not in (0, lease):
            raise UnsupportedByEngine(
                "zookeeper does what belongs to a lease in that lease's session, so one commit "
                "can have to do with one lease only: make two commits"
            )
        self._lease = lease

    def _node(self, key: bytes) -> Looked:
        return _as_key(self._sight.nodes[key])

    def _path(self, key: bytes) -> str:
        return self._sight.paths[key]


def _as_key(looked: Looked) -> Looked:
    """Return what was seen if it stands for a key."""
    return None if looked is None or looked.data == DIRECTORY else looked


def _attribute(target: CompareTarget, found: Found | None) -> int | bytes:
    if found is None:
        return 0
    if target is CompareTarget.VALUE:
        return found.data
    if target is CompareTarget.VERSION:
        return found.stat.version + 1
    if target is CompareTarget.CREATE_REVISION:
        return found.stat.created
    if target is CompareTarget.MOD_REVISION:
        return found.stat.modified
    return lease_of(found.stat)

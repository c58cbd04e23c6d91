"""Reading the tree: one node, or all keys of a range as they were at one moment.

ZooKeeper answers for one node at a time. What it says of a node carries the transaction that
changed it last, so a walk can tell afterwards whether all that it saw was true at one moment:
that of the answer with which it began. If something has changed since, it walks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from quorate.codecs.zookeeper import records
from quorate.codecs.zookeeper.records import Code, Operation, Stat
from quorate.engines.zookeeper.connection import Reply, Request
from quorate.engines.zookeeper.errors import refusal
from quorate.engines.zookeeper.paths import Paths, parent_of
from quorate.engines.zookeeper.session import Session
from quorate.errors import Unavailable
from quorate.store.types import KeyValue, prefix_end

ROUNDS_MAX: Final = 100
DIRECTORY: Final = b"\x00quorate/directory\x00"
"""What a node holds that is there for the keys under it, and is none itself.

A container would be told by its kind, but servers do not tell the kind of a node.
"""
_LEASE_BITS: Final = (1 << 63) - 1


class Node(NamedTuple):
    """A node that stands for a key."""

    key: bytes
    value: bytes
    stat: Stat


class Found(NamedTuple):
    """What is at a path: its data and stat."""

    data: bytes
    stat: Stat


Looked: TypeAlias = Found | None


class Picture(NamedTuple):
    """The keys of a range in order, as they were at a revision."""

    revision: int
    nodes: tuple[Node, ...]
    newest: int
    """The last transaction that may have changed something there."""


class Tree:
    """The nodes under one root, read over one session. `timeout` is in seconds."""

    def __init__(self, session: Session, paths: Paths, timeout: float) -> None:
        self._session = session
        self._paths = paths
        self._timeout = timeout

    async def look(
        self, paths: Sequence[str], first: Operation = Operation.SYNC
    ) -> tuple[list[Looked], int]:
        """Return what is at each path, with data, and a revision that all of it is as new as.

        `first` is `SYNC` for what is true now, `EXISTS` for what one server has.
        """
        requests = [self._begin(first)]
        requests += [Request(Operation.GET_DATA, records.read(path)) for path in paths]
        replies = await self._session.ask(requests, self._timeout)
        return [_found(reply) for reply in replies[1:]], replies[0].zxid

    async def picture(
        self, start: bytes, end: bytes, reading: Operation, first: Operation = Operation.SYNC
    ) -> Picture:
        """Return a range's keys; `reading` is `GET_DATA`, or `EXISTS` to leave the values out."""
        if end == start + b"\x00":
            return await self._one(start, first)
        for _ in range(ROUNDS_MAX):
            walk = _Walk(self._session, self._paths, self._timeout, start, end, reading)
            picture = await walk.walk(self._begin(first))
            if picture is not None:
                return picture
        raise Unavailable(
            f"the keys from {start[:80]!r} on change faster than they can be read: "
            "read fewer of them at once"
        )

    async def _one(self, key: bytes, first: Operation) -> Picture:
        path = self._paths.of(key)
        (found, *above), revision = await self.look(above_and(path), first)
        if found is None:
            return Picture(revision, (), _last_change(above))
        newest = found.stat.modified
        if found.data == DIRECTORY:
            return Picture(revision, (), newest)
        return Picture(max(revision, newest), (Node(key, *found),), newest)

    def _begin(self, operation: Operation) -> Request:
        path = self._paths.root
        body = records.of_path(path) if operation is Operation.SYNC else records.read(path)
        return Request(operation, body)


class _Walk:
    """One walk over a part of the tree, level by level."""

    def __init__(
        self,
        session: Session,
        paths: Paths,
        timeout: float,
        start: bytes,
        end: bytes,
        reading: Operation,
    ) -> None:
        self._session = session
        self._paths = paths
        self._timeout = timeout
        self._start = start
        self._end = end
        self._reading = reading
        self._revision = 0
        self._newest = 0
        self._nodes: list[Node] = []

    async def walk(self, begin: Request) -> Picture | None:
        """Return the picture; None when something moved while it was taken."""
        top = directory_of(self._paths, self._start, self._end)
        above = [Request(Operation.GET_DATA, records.read(at)) for at in above_and(top)]
        began, *found = await self._session.ask([begin, *above], self._timeout)
        self._revision = began.zxid
        self._newest = _last_change([_found(reply) for reply in found])
        directories = [top] if found[0].code == Code.OK else []
        while directories:
            requests = [Request(Operation.GET_CHILDREN, records.read(at)) for at in directories]
            replies = await self._session.ask(requests, self._timeout)
            children = self._children(directories, replies)
            if children is None:
                return None
            deeper = await self._read(children)
            if deeper is None:
                return None
            directories = deeper
        keys = await self._without_directories()
        return None if keys is None else Picture(self._revision, keys, self._newest)

    async def _without_directories(self) -> tuple[Node, ...] | None:
        """Return the nodes that are keys, in order; some that were not read must be for that."""
        nodes = sorted(self._nodes)
        if self._reading is Operation.EXISTS:
            unsure = [self._paths.of(node.key) for node in nodes if _may_be_directory(node)]
            requests = [Request(Operation.GET_DATA, records.read(path)) for path in unsure]
            replies = await self._session.ask(requests, self._timeout) if requests else []
            read = dict(zip(unsure, map(_found, replies), strict=True))
            for place, node in enumerate(nodes):
                if _may_be_directory(node):
                    found = read[self._paths.of(node.key)]
                    if found is None or found.stat.modified > self._revision:
                        return None
                    nodes[place] = Node(node.key, *found)
        return tuple(node for node in nodes if node.value != DIRECTORY)

    def _children(self, directories: list[str], replies: list[Reply]) -> list[str] | None:
        paths: list[str] = []
        for directory, reply in zip(directories, replies, strict=True):
            if reply.code == Code.NO_NODE:
                return None
            _check(reply)
            names = reply.reader.texts()
            changed = records.stat(reply.reader).children_modified
            if changed > self._revision:
                return None
            self._newest = max(self._newest, changed)
            prefix = directory.rstrip("/")
            paths += [f"{prefix}/{name}" for name in names]
        return [path for path in paths if self._is_of_interest(path)]

    async def _read(self, paths: list[str]) -> list[str] | None:
        """Take the keys among these nodes; return those under which there are others."""
        if not paths:
            return []
        requests = [Request(self._reading, records.read(path)) for path in paths]
        deeper: list[str] = []
        for path, reply in zip(
            paths, await self._session.ask(requests, self._timeout), strict=True
        ):
            if reply.code == Code.NO_NODE:
                return None
            found = _found(reply, self._reading)
            assert found is not None
            data, stat = found
            changed = max(stat.modified, stat.children_modified)
            if changed > self._revision:
                return None
            self._newest = max(self._newest, changed)
            key = self._paths.key(path)
            assert key is not None
            if self._is_within(key):
                self._nodes.append(Node(key, data, stat))
            if stat.children:
                deeper.append(path)
        return deeper

    def _is_of_interest(self, path: str) -> bool:
        """Whether a path stands for a key of the range, or may have some under it."""
        key = self._paths.key(path)
        if key is None:
            return False
        below = key + b"/"
        after_start = not prefix_end(below) or prefix_end(below) > self._start
        return self._is_within(key) or (after_start and (not self._end or below < self._end))

    def _is_within(self, key: bytes) -> bool:
        return key >= self._start and (not self._end or key < self._end)


def above_and(path: str) -> list[str]:
    """Return a path, and the directories above it, the nearest first."""
    paths = [path]
    while paths[-1] != parent_of(paths[-1]):
        paths.append(parent_of(paths[-1]))
    return paths


def directory_of(paths: Paths, start: bytes, end: bytes) -> str:
    """Return the deepest directory that all keys in [start, end) are in."""
    return paths.directory(_common_prefix(start, end))


def _may_be_directory(node: Node) -> bool:
    return node.stat.size == len(DIRECTORY)


def _last_change(above: Sequence[Looked]) -> int:
    """Return when the nearest directory that is there got or lost something."""
    return next((found.stat.children_modified for found in above if found is not None), 0)


def key_value(node: Node) -> KeyValue:
    """Return a node as the version of a key."""
    stat = node.stat
    return KeyValue(
        node.key,
        node.value,
        stat.created,
        stat.modified,
        stat.version + 1,
        lease_of(stat),
    )


def lease_of(stat: Stat) -> int:
    """Return the lease that a node is attached to; 0: none."""
    return lease_id(stat.owner)


def lease_id(session: int) -> int:
    """Return a session's id as that of a lease, which is positive."""
    return session & _LEASE_BITS


def _found(reply: Reply, reading: Operation = Operation.GET_DATA) -> Looked:
    if reply.code == Code.NO_NODE:
        return None
    _check(reply)
    data = reply.reader.buffer() if reading is Operation.GET_DATA else b""
    return Found(data, records.stat(reply.reader))


def _check(reply: Reply) -> None:
    if reply.code != Code.OK:
        raise refusal(reply.code)


def _common_prefix(start: bytes, end: bytes) -> bytes:
    """Return what all keys in [start, end) begin with, as far as a slash tells."""
    prefix = start
    while prefix and (not end or prefix_end(prefix) < end or not prefix_end(prefix)):
        prefix = prefix[:-1]
    return prefix

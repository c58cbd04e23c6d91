"""The records of ZooKeeper's protocol: what clients ask, and what servers answer.

Source: ZooKeeper's `zookeeper.jute` and `ZooDefs.OpCode` (3.6 and later).
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from quorate.codecs.zookeeper.jute import Reader, boolean, buffer, integer, long, text

NOTIFICATION: Final = -1
"""The number of a message that answers nothing: a watch has seen something."""
PING: Final = -2
AUTHENTICATION: Final = -4
ANY_VERSION: Final = -1


class Operation(enum.IntEnum):
    """What a request asks for."""

    CREATE = 1
    DELETE = 2
    EXISTS = 3
    GET_DATA = 4
    SET_DATA = 5
    SYNC = 9
    PING = 11
    GET_CHILDREN = 12
    """With the parent's stat: `getChildren2`."""
    CHECK = 13
    MULTI = 14
    CREATE_WITH_STAT = 15
    REMOVE_WATCHES = 18
    CREATE_CONTAINER = 19
    AUTHENTICATE = 100
    GET_EPHEMERALS = 103
    ADD_WATCH = 106
    CLOSE_SESSION = -11


class CreateMode(enum.IntEnum):
    """What kind of node is created."""

    PERSISTENT = 0
    EPHEMERAL = 1
    PERSISTENT_SEQUENTIAL = 2
    EPHEMERAL_SEQUENTIAL = 3
    CONTAINER = 4


class Code(enum.IntEnum):
    """Why a server refused (`KeeperException.Code`)."""

    OK = 0
    RUNTIME_INCONSISTENCY = -2
    """In a multi: not done, since another part of it failed."""
    MARSHALLING = -5
    UNIMPLEMENTED = -6
    BAD_ARGUMENTS = -8
    NO_NODE = -101
    NO_AUTH = -102
    BAD_VERSION = -103
    NO_CHILDREN_FOR_EPHEMERALS = -108
    NODE_EXISTS = -110
    NOT_EMPTY = -111
    SESSION_EXPIRED = -112
    INVALID_ACL = -114
    AUTHENTICATION_FAILED = -115
    SESSION_MOVED = -118
    QUOTA_EXCEEDED = -125


class Stat(NamedTuple):
    """What a server knows of a node. Times are in milliseconds, transactions are zxids."""

    created: int
    """The zxid that created it (czxid)."""
    modified: int
    """The zxid that wrote its data last (mzxid)."""
    created_at: int
    modified_at: int
    version: int
    """How often its data was written since it was created."""
    children_version: int
    acl_version: int
    owner: int
    """The session of an ephemeral node; 0 for all others."""
    size: int
    children: int
    children_modified: int
    """The zxid that created or deleted a child last (pzxid)."""


_STAT: Final = struct.Struct(">qqqqiiiqiiq")


class ReplyHeader(NamedTuple):
    """What every answer begins with; `zxid` is the last transaction that the server has applied."""

    xid: int
    zxid: int
    code: int


class Notification(NamedTuple):
    """What a watch has seen, and where."""

    kind: int
    path: str


class Session(NamedTuple):
    """A session as the server granted it: id, timeout in milliseconds, password. 0: it ended."""

    id: int
    timeout: int
    password: bytes


class Acl(NamedTuple):
    """Who may do what: permissions as bits."""

    permissions: int
    scheme: str
    id: str


ALL_PERMISSIONS: Final = 31
ANYONE: Final = Acl(ALL_PERMISSIONS, "world", "anyone")
CREATOR: Final = Acl(ALL_PERMISSIONS, "auth", "")
"""Whoever has authenticated on this connection."""


def connect(last_zxid: int, timeout: int, session: int, password: bytes) -> bytes:
    """Encode the first message of a connection; `session` 0 asks for a new one."""
    return b"".join(
        (integer(0), long(last_zxid), integer(timeout), long(session), buffer(password), b"\x00")
    )


def session(reader: Reader) -> Session:
    """Read the answer to `connect`."""
    reader.integer()
    timeout, identifier = reader.integer(), reader.long()
    return Session(identifier if timeout > 0 else 0, timeout, reader.buffer())


def header(reader: Reader) -> ReplyHeader:
    """Read what every answer begins with."""
    return ReplyHeader(reader.integer(), reader.long(), reader.integer())


def notification(reader: Reader) -> Notification:
    """Read what a watch has seen."""
    kind = reader.integer()
    reader.integer()
    return Notification(kind, reader.text())


def stat(reader: Reader) -> Stat:
    """Read a stat."""
    return Stat(*reader.unpack(_STAT))


def create(path: str, data: bytes, mode: CreateMode, acl: Acl) -> bytes:
    """Encode a creation."""
    rights = integer(1) + integer(acl.permissions) + text(acl.scheme) + text(acl.id)
    return text(path) + buffer(data) + rights + integer(mode)


def of_path(path: str) -> bytes:
    """Encode a `SYNC` or `GET_EPHEMERALS`."""
    return text(path)


def read(path: str) -> bytes:
    """Encode an `EXISTS`, `GET_DATA` or `GET_CHILDREN` that leaves no watch behind."""
    return text(path) + boolean(None)


def versioned(path: str, version: int = ANY_VERSION) -> bytes:
    """Encode a `DELETE` or `CHECK`."""
    return text(path) + integer(version)


def set_data(path: str, data: bytes, version: int = ANY_VERSION) -> bytes:
    """Encode a write."""
    return text(path) + buffer(data) + integer(version)


def add_watch(path: str) -> bytes:
    """Encode a watch of a node and of everything under it, which stays (3.6 and later)."""
    return text(path) + integer(1)


def remove_watches(path: str) -> bytes:
    """Encode the end of every watch of a node."""
    return text(path) + integer(3)


def authenticate(scheme: str, secret: bytes) -> bytes:
    """Encode an authentication."""
    return integer(0) + text(scheme) + buffer(secret)


def multi(parts: Sequence[tuple[Operation, bytes]]) -> bytes:
    """Encode several writes and checks that are done together or not at all."""
    pieces = [_part(operation, done=0) + body for operation, body in parts]
    return b"".join([*pieces, _part(-1, done=1)])


def multi_failure(reader: Reader, count: int) -> tuple[int, int] | None:
    """Return the place and the code of the part that failed; None when all was done."""
    for place in range(count):
        kind, _, code = reader.integer(), reader.boolean(), reader.integer()
        if kind == -1:
            code = reader.integer()
            if code not in (Code.OK, Code.RUNTIME_INCONSISTENCY):
                return place, code
        elif kind == Operation.SET_DATA:
            stat(reader)
        elif kind in (Operation.CREATE, Operation.CREATE_WITH_STAT):
            reader.text()
            if kind == Operation.CREATE_WITH_STAT:
                stat(reader)
    return None


def _part(operation: int, *, done: int) -> bytes:
    return integer(operation) + boolean(done) + integer(-1)

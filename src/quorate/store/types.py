"""The values that cross the Store port.

Operations and results are msgspec arrays with a number as their tag: the struct that a
caller builds is the one that the log keeps and every node decodes. Keys and values are
bytes here; the client's face accepts text and encodes it as UTF-8.

Revisions follow etcd's: the store starts at revision 1, every commit that changes
something adds 1, and whatever it changes carries that revision.

Operations forbid unknown fields: a node that skipped what it does not know would apply the
same log entry differently from one that knows it.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec


class ReadConsistency(enum.IntEnum):
    """How fresh a read must be."""

    LINEARIZABLE = 0
    """Sees every write that was acknowledged before the read began."""
    STALE = 1
    """What the asked node has, with the revision it was read at; answers without a quorum."""


class KeyValue(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """One version of one key."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0

    @property
    def revision(self) -> int:
        """The revision that wrote this version."""
        return self.mod_revision


class RangeOrder(enum.IntEnum):
    """What a range is sorted by."""

    KEY = 0
    VERSION = 1
    CREATE_REVISION = 2
    MOD_REVISION = 3
    VALUE = 4


class Direction(enum.IntEnum):
    """Which end of the order comes first."""

    ASCENDING = 0
    DESCENDING = 1


class Content(enum.IntEnum):
    """How much of each key a range returns."""

    FULL = 0
    KEYS = 1
    """Values are empty."""
    COUNT = 2
    """No items, only their number."""


class Get(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=10
):
    """Read one key, now or (`revision` > 0) as it was."""

    key: bytes
    revision: int = 0


class Range(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=11
):
    """Read the keys in [start, end), now or as they were.

    An empty `end` means no upper bound. `limit` 0 means the store's page limit. The minima
    and maxima (0: none) filter before the limit counts.
    """

    start: bytes = b""
    end: bytes = b""
    limit: int = 0
    revision: int = 0
    order: RangeOrder = RangeOrder.KEY
    direction: Direction = Direction.ASCENDING
    content: Content = Content.FULL
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class Put(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=12
):
    """Write one key; `lease` 0 detaches it from any lease."""

    key: bytes
    value: bytes
    lease: int = 0


class Delete(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=13
):
    """Delete one key."""

    key: bytes


class DeleteRange(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=14
):
    """Delete the keys in [start, end); an empty `end` means no upper bound."""

    start: bytes
    end: bytes


class CompareTarget(enum.IntEnum):
    """What a comparison looks at. An absent key has version, revisions and lease 0."""

    VALUE = 0
    VERSION = 1
    CREATE_REVISION = 2
    MOD_REVISION = 3
    LEASE = 4


class CompareOperator(enum.IntEnum):
    """How a comparison compares: the key's attribute on the left, the operand on the right."""

    EQUAL = 0
    NOT_EQUAL = 1
    LESS = 2
    GREATER = 3


class Compare(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """One condition of a commit.

    With `end`, the condition must hold for every key in [key, end) (empty: no upper bound).
    A comparison of the value of an absent key is false, whatever the operator, as in etcd.
    """

    key: bytes
    target: CompareTarget
    operator: CompareOperator
    operand: int | bytes
    end: bytes | None = None


class Commit(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=15
):
    """If every condition holds do `then`, else `otherwise`: atomically, at one revision."""

    when: tuple[Compare, ...] = ()
    then: tuple[Get | Range | Put | Delete | DeleteRange | Commit, ...] = ()
    otherwise: tuple[Get | Range | Put | Delete | DeleteRange | Commit, ...] = ()


Operation: TypeAlias = Get | Range | Put | Delete | DeleteRange | Commit


class RangeResult(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=20):
    """One page of a range.

    `count` is the number of keys in the whole range (after the filters), `more` tells that
    the limit cut it. `revision` is the store's revision at which it was read: pass it on to
    read further pages of the same state.
    """

    items: tuple[KeyValue, ...]
    count: int
    revision: int
    more: bool = False


class DeleteResult(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=21):
    """How many keys were deleted, and the store's revision after that."""

    deleted: int
    revision: int


class CommitResult(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=22):
    """Which branch ran, the store's revision after it, and one result per operation.

    A put's result is its revision, a get's the key's version or None.
    """

    succeeded: bool
    revision: int
    results: tuple[int | KeyValue | RangeResult | DeleteResult | CommitResult | None, ...]


class Enqueued(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=23):
    """The entry that `enqueue` made: its key, and its place in the order of its prefix."""

    key: bytes
    order: int


class Grant(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=24):
    """A lease: its id, and the time to live in seconds that was really given."""

    id: int
    ttl: float


class LeaseStatus(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=25):
    """A lease's ttl as granted and what remains of it, in seconds, and its keys in order."""

    id: int
    ttl: float
    remaining: float
    keys: tuple[bytes, ...] = ()


Result: TypeAlias = (
    int | KeyValue | RangeResult | DeleteResult | CommitResult | Enqueued | Grant | None
)


class EventKind(enum.IntEnum):
    """What happened to a key."""

    PUT = 0
    DELETE = 1


class Event(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One change of one key.

    For a deletion `kv` holds the key and the revision that deleted it, with an empty value
    and version 0. `previous` is what was there before, where the watch asked for it.
    """

    kind: EventKind
    kv: KeyValue
    previous: KeyValue | None = None


class WatchDetail(enum.IntEnum):
    """What a watch's events carry."""

    EVENT = 0
    PREVIOUS = 1
    """Also the version that was there before."""


class WatchRequest(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What to watch: one key (`end` None) or [key, end) (empty `end`: no upper bound).

    `from_revision` 0 starts with the first change after the registration.
    """

    key: bytes
    end: bytes | None = None
    from_revision: int = 0
    detail: WatchDetail = WatchDetail.EVENT


class WatchBatch(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """All of one revision's events that a watch asked for, in the order they happened.

    Without events it is a progress mark: everything up to and including `revision` has
    been delivered.
    """

    revision: int
    events: tuple[Event, ...] = ()


def prefix_end(prefix: bytes) -> bytes:
    """Return the end of the range of all keys that start with `prefix` (empty: unbounded)."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return b""
    return stripped[:-1] + bytes((stripped[-1] + 1,))


def prefix_range(prefix: bytes) -> Range:
    """Return the range of all keys that start with `prefix`."""
    return Range(start=prefix, end=prefix_end(prefix))

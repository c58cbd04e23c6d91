"""What the log carries for the key-value machine.

One log entry holds one `Batch`: the writes that reached the leader in one turn. A client
encodes its commands once; the leader wraps those bytes in an `Envelope` and never looks
inside; every node decodes them when it applies.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import msgspec

from quorate.store.types import (
    Commit,
    CommitResult,
    Delete,
    DeleteRange,
    DeleteResult,
    Enqueued,
    Put,
)

BATCH_FORMAT: Final = 1
"""The version of this encoding; a node refuses entries of a later one."""


class Enqueue(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=30
):
    """Create `<prefix><revision as 16 hex digits>`, after every earlier one of the prefix."""

    prefix: bytes
    value: bytes
    lease: int = 0


class GrantLease(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=31
):
    """Create a lease; `id` is chosen by the proposer, nonzero and below 2**63."""

    id: int
    ttl_ms: int


class RevokeLease(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=32
):
    """End a lease and delete its keys, because a client asked."""

    id: int


class Compact(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=33
):
    """Forget versions replaced at or before `revision`."""

    revision: int


class ExpireLeases(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=34
):
    """The leader's: end each lease (id, generation) whose generation is still that."""

    leases: tuple[tuple[int, int], ...]


class CheckpointLeases(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=35
):
    """The leader's: remember (id, remaining ms), so that it survives a change of leader.

    Each checkpoint raises the lease's generation.
    """

    leases: tuple[tuple[int, int], ...]


class ExpireSessions(
    msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=36
):
    """The leader's: forget each session (id, index of its last write) that wrote nothing since."""

    sessions: tuple[tuple[int, int], ...]


Command: TypeAlias = (
    Put
    | Delete
    | DeleteRange
    | Commit
    | Enqueue
    | GrantLease
    | RevokeLease
    | Compact
    | ExpireLeases
    | CheckpointLeases
    | ExpireSessions
)


LEADER_COMMANDS: Final = (ExpireLeases, CheckpointLeases, ExpireSessions)
"""What only a node may put into the log, never a client."""


class RefusalCode(enum.IntEnum):
    """Why the machine refused a command; the client raises the error of the same name."""

    INVALID_REQUEST = 1
    LIMIT_EXCEEDED = 2
    COMPACTED = 3
    FUTURE_REVISION = 4
    LEASE_NOT_FOUND = 5
    LEASE_EXISTS = 6
    QUOTA_EXCEEDED = 7
    SESSION_EXPIRED = 8
    """The session, or this write's place in its window, is gone: it may have happened before."""
    MEMBERSHIP_REFUSED = 9
    UNAUTHENTICATED = 10
    NOT_LEADER = 11
    UNAVAILABLE = 12
    STORAGE = 13
    OUTCOME_UNKNOWN = 14


class Refusal(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=50):
    """A command that was refused and changed nothing. `detail` is the error's number, if any."""

    code: RefusalCode
    message: str
    detail: int = 0


class OutcomeForgotten(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=51):
    """A retried write that happened at `revision`, whose large outcome was not kept."""

    revision: int


Outcome: TypeAlias = (
    int | DeleteResult | CommitResult | Enqueued | Refusal | OutcomeForgotten | None
)
"""Put: its revision. Lease and session commands: None."""


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One client's writes of one turn, as the leader received them.

    `principal` is who wrote; an empty one is the node itself.
    `session` 0 means: no session, applied as it comes. `birth` is the commit index that the
    client was told when it connected: a session that is unknown is made only if its birth
    lies above the machine's horizon, so that a write delayed for minutes can't revive a
    session that expired. `sequence` numbers the envelope within its session from 1;
    everything up to `acked_upto` was settled or given up by the client. `body` is the
    msgpack array of commands.
    """

    principal: str
    auth_revision: int
    session: int
    birth: int
    sequence: int
    acked_upto: int
    body: bytes


class Batch(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One log entry. `time_ms` is max(previous entry's, leader's): information only."""

    format: int
    time_ms: int
    envelopes: tuple[Envelope, ...]


encode_batch = msgspec.msgpack.Encoder().encode
decode_batch = msgspec.msgpack.Decoder(Batch).decode
encode_commands = msgspec.msgpack.Encoder().encode
decode_commands = msgspec.msgpack.Decoder(list[Command]).decode
encode_outcomes = msgspec.msgpack.Encoder().encode
decode_outcomes = msgspec.msgpack.Decoder(list[Outcome]).decode

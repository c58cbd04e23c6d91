"""What Raft nodes say to each other, and what they keep on disk.

Every message is a msgspec array with a number as its tag, so that the struct is the wire
format. Messages travel inside a frame that names the sender and the group; they do not
repeat either. Terms and indexes count from 1; 0 means "none".

`round` is the leader's counter of quorum rounds: a reply that echoes it confirms that the
leader still led when its message arrived, which is what a linearizable read needs
(thesis 6.4), whatever kind of message carried it.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec


class EntryKind(enum.IntEnum):
    """What an entry's bytes are for."""

    NORMAL = 0
    """A batch for the group's machine."""
    EMPTY = 1
    """What a new leader appends so that it may commit (thesis 3.6.2)."""
    CONFIGURATION = 2
    """An encoded `Configuration`; in force from the moment it is appended."""


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One slot of the log."""

    term: int
    index: int
    kind: EntryKind
    data: bytes


class HardState(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What must be on disk before any message that depends on it leaves.

    `commit` is a hint that shortens a restart; it may lag.
    """

    term: int = 0
    vote: int = 0
    commit: int = 0


class SnapshotIdentity(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One snapshot file: equal identities mean equal bytes, so a transfer may resume.

    `size` is in bytes; `configuration` is encoded.
    """

    index: int
    term: int
    size: int
    checksum: int
    configuration: bytes


class CampaignKind(enum.IntEnum):
    """Why a node asks for votes."""

    PRE_VOTE = 0
    """A straw poll that changes nothing (thesis 9.6)."""
    ELECTION = 1
    TRANSFER = 2
    """An election that the old leader asked for; voters need not wait for its silence."""


class VoteRequest(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """RequestVote. In a pre-vote `term` is the one the candidate would campaign in."""

    term: int
    kind: CampaignKind
    last_index: int
    last_term: int


class VoteReply(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """The answer. A granted pre-vote echoes the request's term, else `term` is the voter's."""

    term: int
    kind: CampaignKind
    granted: bool


class AppendRequest(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """AppendEntries."""

    term: int
    previous_index: int
    previous_term: int
    commit: int
    round: int
    entries: tuple[Entry, ...]


class AppendReply(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    """Everything up to `match` is on disk and equals the leader's log."""

    term: int
    match: int
    round: int


class AppendRejected(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """The entry before `previous_index + 1` did not match.

    `hint_index` is the largest index at which the logs may agree, `hint_term` its term in
    the follower's log, so that a whole term is skipped per round trip.
    """

    term: int
    previous_index: int
    hint_index: int
    hint_term: int
    round: int


class Heartbeat(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    """The leader lives. `commit` never exceeds what the receiver is known to hold."""

    term: int
    commit: int
    round: int


class HeartbeatReply(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=7):
    """The answer to a heartbeat."""

    term: int
    round: int


class SnapshotChunk(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=8):
    """Part of a snapshot file. Without data it asks how much the follower already holds."""

    term: int
    snapshot: SnapshotIdentity
    offset: int
    data: bytes


class SnapshotReply(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=9):
    """The follower holds `offset` bytes of the snapshot at `index` safely."""

    term: int
    index: int
    offset: int


class TimeoutNow(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=10):
    """Campaign at once: the leader hands over (thesis 3.10)."""

    term: int


class ReadIndexRequest(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=11):
    """A follower asks the leader for a read index; `context` is unique per attempt."""

    term: int
    context: int


class ReadIndexReply(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=12):
    """The read may run once `index` is applied; 0: ask again."""

    term: int
    context: int
    index: int


class CommitAdvanced(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=13):
    """The leader has committed up to `commit`, which the receiver holds. There is no answer."""

    term: int
    commit: int


Message: TypeAlias = (
    VoteRequest
    | VoteReply
    | AppendRequest
    | AppendReply
    | AppendRejected
    | Heartbeat
    | HeartbeatReply
    | SnapshotChunk
    | SnapshotReply
    | TimeoutNow
    | ReadIndexRequest
    | ReadIndexReply
    | CommitAdvanced
)

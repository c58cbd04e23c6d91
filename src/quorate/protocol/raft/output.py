"""What one step asks of the host, in the order of duty.

1. `send` may leave at once. 2. `persist` must be on disk before its own messages leave and
before `Persisted` is reported; the host keeps the order of tickets. 3. `committed` is to be
applied in order. 4. Proposals and reads are answered. 5. One timer is set to `deadline`.
"""

from __future__ import annotations

import enum

import msgspec

from quorate.protocol.raft.messages import Entry, HardState, Message, SnapshotIdentity


class Role(enum.Enum):
    """What a node is in its term."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Persist(msgspec.Struct, gc=False):
    """One append: what to write, and what may be sent only after it is synced.

    Entries at or after `truncate_from` (0: none) go before `entries` are added;
    `snapshot` (index, term) replaces everything up to its index. With nothing to write it
    still waits for the tickets before it.
    """

    ticket: int
    hard_state: HardState | None
    truncate_from: int
    entries: list[Entry]
    snapshot: tuple[int, int] | None
    messages: list[tuple[int, Message]]


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A proposal has its place in the log; it is decided when that index is applied."""

    ticket: int
    index: int
    term: int


class RejectReason(enum.Enum):
    """Why a proposal was not taken; nothing was changed."""

    NOT_LEADER = enum.auto()
    TRANSFERRING = enum.auto()
    OVERLOADED = enum.auto()
    NOT_READY = enum.auto()
    UNSAFE = enum.auto()


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A proposal was not taken."""

    ticket: int
    reason: RejectReason
    message: str


class ReadReady(msgspec.Struct, frozen=True, gc=False):
    """The read may run once `index` is applied."""

    context: int
    index: int


class RoleChange(msgspec.Struct, frozen=True, gc=False):
    """The node's role, term or leader changed. `leader` 0: none is known."""

    role: Role
    term: int
    leader: int


class LoadChunk(msgspec.Struct, frozen=True, gc=False):
    """Read part of a snapshot file for `node` and report `ChunkLoaded`."""

    node: int
    snapshot: SnapshotIdentity
    offset: int
    size: int


class StoreChunk(msgspec.Struct, frozen=True, gc=False):
    """Write part of a received snapshot and report `ChunkStored` with what is held.

    When all of it is held: verify, sync, restore the machine, report `SnapshotInstalled`.
    Data that does not continue what is held is dropped, and the report says where to go on.
    """

    sender: int
    snapshot: SnapshotIdentity
    offset: int
    data: bytes


class Output:
    """One step's effects; see the module's docstring for the order of duty."""

    __slots__ = (
        "committed",
        "configuration_changed",
        "deadline",
        "failed_reads",
        "loads",
        "persist",
        "placed",
        "reads",
        "rejected",
        "role",
        "send",
        "stores",
    )

    def __init__(self) -> None:
        self.send: list[tuple[int, Message]] = []
        self.persist: Persist | None = None
        self.committed: list[Entry] = []
        self.placed: list[Placed] = []
        self.rejected: list[Rejected] = []
        self.reads: list[ReadReady] = []
        self.failed_reads: list[int] = []
        self.loads: list[LoadChunk] = []
        self.stores: list[StoreChunk] = []
        self.role: RoleChange | None = None
        self.configuration_changed = False
        self.deadline = 0

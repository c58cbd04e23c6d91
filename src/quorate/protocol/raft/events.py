"""What can happen to a Raft node. Every event carries its time in monotonic nanoseconds.

Completions are tickets: `Persisted(ticket)` names one append and no index, so that a late
completion can't vouch for an entry that has since been replaced (coordination pitfall 12).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from quorate.protocol.raft.configuration import Change
from quorate.protocol.raft.messages import Message, SnapshotIdentity


class Receive(msgspec.Struct, frozen=True, gc=False):
    """A message arrived from another node."""

    at: int
    sender: int
    message: Message


class TimerFired(msgspec.Struct, frozen=True, gc=False):
    """The deadline of the last output has come."""

    at: int


class Propose(msgspec.Struct, frozen=True, gc=False):
    """The host wants `data` in the log; `ticket` names the answer."""

    at: int
    ticket: int
    data: bytes


class ProposeChange(msgspec.Struct, frozen=True, gc=False):
    """The host wants a change of members."""

    at: int
    ticket: int
    change: Change


class Read(msgspec.Struct, frozen=True, gc=False):
    """The host wants to read linearizably; `context` is unique per attempt."""

    at: int
    context: int


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """Hand leadership to `target` (0: to the most advanced voter)."""

    at: int
    target: int


class Persisted(msgspec.Struct, frozen=True, gc=False):
    """What the ticket asked for is on disk."""

    at: int
    ticket: int


class Disconnected(msgspec.Struct, frozen=True, gc=False):
    """The connection to a node ended: messages may be lost, or the node is gone."""

    at: int
    node: int


class SnapshotTaken(msgspec.Struct, frozen=True, gc=False):
    """A snapshot of the machine is on disk; the log before `keep_from` may go."""

    at: int
    snapshot: SnapshotIdentity
    keep_from: int


class ChunkLoaded(msgspec.Struct, frozen=True, gc=False):
    """Part of a snapshot was read from disk, for `node`. Empty data: it is gone."""

    at: int
    node: int
    snapshot: SnapshotIdentity
    offset: int
    data: bytes


class ChunkStored(msgspec.Struct, frozen=True, gc=False):
    """The file of a snapshot being received holds `offset` bytes."""

    at: int
    sender: int
    snapshot: SnapshotIdentity
    offset: int


class SnapshotInstalled(msgspec.Struct, frozen=True, gc=False):
    """A received snapshot is complete, verified, on disk, and the machine was restored."""

    at: int
    sender: int
    snapshot: SnapshotIdentity


Event: TypeAlias = (
    Receive
    | TimerFired
    | Propose
    | ProposeChange
    | Read
    | Transfer
    | Persisted
    | Disconnected
    | SnapshotTaken
    | ChunkLoaded
    | ChunkStored
    | SnapshotInstalled
)

"""What clients and nodes say to each other about the key-value store.

One frame carries one of these. `id` is chosen by the client and comes back in the answer;
a watch's id names it as long as it is open.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from quorate.kv.commands import Refusal
from quorate.store.types import (
    Get,
    KeyValue,
    LeaseStatus,
    Range,
    RangeResult,
    ReadConsistency,
    WatchBatch,
    WatchRequest,
)


class Write(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """Commands for the log; the fields are those of an `Envelope`."""

    id: int
    session: int
    birth: int
    sequence: int
    acked_upto: int
    body: bytes


class ReadAll(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """Reads that share one quorum round."""

    id: int
    consistency: ReadConsistency
    operations: tuple[Get | Range, ...]


class KeepAlive(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """Renew leases; the answer gives each one's ttl in ms, 0 when it is gone."""

    id: int
    leases: tuple[int, ...]


class TimeToLive(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    """Ask what remains of a lease."""

    id: int
    lease: int


class OpenWatch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """Open a watch."""

    id: int
    request: WatchRequest


class CloseWatch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    """Close a watch; there is no answer."""

    id: int


class AskMembers(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=7):
    """Ask who belongs to the cluster."""

    id: int


class ChangeMembers(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=8):
    """Change who belongs to the cluster: `change` is an encoded `Change` of the consensus."""

    id: int
    change: bytes


class TransferLeadership(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=9):
    """Hand leadership to a member (0: to whom the leader finds best)."""

    id: int
    target: int


class AskStatus(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=10):
    """Ask how a node is."""

    id: int


class SaveSnapshot(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=11):
    """Ask for a snapshot of the state: a `SnapshotStart` comes, then `SnapshotPart`s."""

    id: int


class AskLeases(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=12):
    """Ask for the ids of all leases."""

    id: int


Request: TypeAlias = (
    Write
    | ReadAll
    | KeepAlive
    | TimeToLive
    | OpenWatch
    | CloseWatch
    | AskMembers
    | ChangeMembers
    | TransferLeadership
    | AskStatus
    | SaveSnapshot
    | AskLeases
)


class Written(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """The outcomes of a `Write`, encoded, in the order of its commands."""

    id: int
    outcomes: bytes


class ReadDone(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """The results of a `ReadAll`, in order."""

    id: int
    results: tuple[KeyValue | RangeResult | Refusal | None, ...]


class KeptAlive(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """Each lease's ttl in ms; 0: it is gone."""

    id: int
    ttls_ms: tuple[int, ...]


class LeaseAnswer(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    """What remains of a lease."""

    id: int
    status: LeaseStatus


class WatchOpened(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """The watch delivers from `revision` on."""

    id: int
    revision: int


class WatchEvents(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    """What happened, for each watch of this connection that it concerns."""

    batches: tuple[tuple[int, WatchBatch], ...]


class MemberStatus(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One member, as the answering node sees it."""

    id: int
    name: str
    address: str
    part: str


class Members(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=7):
    """Who belongs to the cluster; `leader` is an id, 0 while none is known."""

    id: int
    cluster_id: int
    leader: int
    members: tuple[MemberStatus, ...]


class Done(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=8):
    """It was done."""

    id: int


class Status(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=9):
    """How a node is. Sizes in bytes."""

    id: int
    cluster_id: int
    node_id: int
    name: str
    role: str
    term: int
    leader: int
    commit_index: int
    applied_index: int
    revision: int
    store_bytes: int
    version: str
    healthy: bool
    etcd: str = ""
    """Where this node speaks etcd's API, empty when it does not."""


class SnapshotPart(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=10):
    """Part of a snapshot; the last one is empty."""

    id: int
    data: bytes


class SnapshotStart(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=11):
    """Which snapshot comes: the last entry that it covers, and the encoded configuration."""

    id: int
    index: int
    term: int
    configuration: bytes


class LeaseList(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=12):
    """The ids of all leases, those that end soonest first."""

    id: int
    leases: tuple[int, ...]


class Failed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=50):
    """The request failed. For a write, UNAVAILABLE and NOT_LEADER mean: nothing happened."""

    id: int
    refusal: Refusal
    leader: str = ""


Response: TypeAlias = (
    Written
    | ReadDone
    | KeptAlive
    | LeaseAnswer
    | WatchOpened
    | WatchEvents
    | Members
    | Done
    | Status
    | SnapshotStart
    | SnapshotPart
    | LeaseList
    | Failed
)

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_response = msgspec.msgpack.Decoder(Response).decode

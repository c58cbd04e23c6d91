"""Raft as a pure state machine: `Raft.step(event) -> Output`.

Ongaro, "Consensus: Bridging Theory and Practice" (2014), with pre-vote, check-quorum,
pipelining, ReadIndex, leadership transfer, learners, joint consensus and chunked snapshot
installation. `output.py` says what a host owes.
"""

from quorate.protocol.raft.config import RaftConfig
from quorate.protocol.raft.configuration import Configuration, Member, bootstrap
from quorate.protocol.raft.machine import Raft
from quorate.protocol.raft.messages import Entry, EntryKind, HardState, Message, SnapshotIdentity
from quorate.protocol.raft.output import Output, Role

__all__ = [
    "Configuration",
    "Entry",
    "EntryKind",
    "HardState",
    "Member",
    "Message",
    "Output",
    "Raft",
    "RaftConfig",
    "Role",
    "SnapshotIdentity",
    "bootstrap",
]

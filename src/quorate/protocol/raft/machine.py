"""The Raft node: one mutator, `step(event) -> Output`.

This file only decides who handles an event, and the rules about terms that hold for every
message (paper 5.1). What each handler does is in the file named after its concern.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quorate.errors import MembershipRefused
from quorate.protocol.raft import elections, installs, reads, replication
from quorate.protocol.raft.commitment import (
    append_as_leader,
    append_configuration,
    is_ready_leader,
)
from quorate.protocol.raft.config import RaftConfig
from quorate.protocol.raft.configuration import Configuration, apply_change
from quorate.protocol.raft.core import Core
from quorate.protocol.raft.events import (
    ChunkLoaded,
    ChunkStored,
    Disconnected,
    Event,
    Persisted,
    Propose,
    ProposeChange,
    Read,
    Receive,
    SnapshotInstalled,
    SnapshotTaken,
    TimerFired,
    Transfer,
)
from quorate.protocol.raft.log import Log
from quorate.protocol.raft.messages import (
    AppendRejected,
    AppendReply,
    AppendRequest,
    CampaignKind,
    CommitAdvanced,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatReply,
    Message,
    ReadIndexReply,
    ReadIndexRequest,
    SnapshotChunk,
    SnapshotIdentity,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from quorate.protocol.raft.output import Output, Placed, Rejected, RejectReason, Role
from quorate.protocol.raft.sending import broadcast_append


class Raft:
    """One group on one node. Built from what the disk holds, then driven by events.

    `entries` are contiguous and reach from just above `base` (index, term), or above the
    snapshot; `configuration` is the one in force at the base. `jitter` returns numbers
    from [0, 1).
    """

    def __init__(  # noqa: PLR0913  what was recovered from disk arrives whole
        self,
        *,
        node: int,
        at: int,
        jitter: Callable[[], float],
        configuration: Configuration,
        config: RaftConfig | None = None,
        hard_state: HardState | None = None,
        base: tuple[int, int] = (0, 0),
        entries: Sequence[Entry] = (),
        snapshot: SnapshotIdentity | None = None,
    ) -> None:
        self.core = Core(
            node=node,
            config=config or RaftConfig(),
            jitter=jitter,
            hard_state=hard_state or HardState(),
            log=Log(base[0], base[1], entries),
            configuration=configuration,
            snapshot=snapshot,
            at=at,
        )

    def step(self, event: Event) -> Output:
        """Take one event; return everything that follows from it."""
        core = self.core
        core.now = max(core.now, event.at)
        _HANDLERS[type(event)](core, event)
        return core.finish()

    @property
    def role(self) -> Role:
        """The role in the current term."""
        return self.core.role

    @property
    def term(self) -> int:
        """The current term."""
        return self.core.term

    @property
    def leader(self) -> int:
        """The leader's id, 0 while none is known."""
        return self.core.leader

    @property
    def commit_index(self) -> int:
        """The last index known to be committed."""
        return self.core.commit

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self.core.configuration

    @property
    def ready(self) -> bool:
        """Whether this node leads and has committed in its term."""
        return is_ready_leader(self.core)


def _receive(core: Core, event: Receive) -> None:
    message, sender = event.message, event.sender
    if isinstance(message, VoteRequest):
        _receive_vote_request(core, sender, message)
        return
    if message.term > core.term:
        if isinstance(message, VoteReply) and message.granted:
            # A granted pre-vote names the term of the campaign to come.
            elections.handle_vote_reply(core, sender, message)
            return
        core.become_follower(message.term, 0)
    elif message.term < core.term:
        _receive_old(core, sender, message)
        return
    if isinstance(message, AppendRequest | Heartbeat | SnapshotChunk | CommitAdvanced):
        assert core.role is not Role.LEADER, "one leader a term"
        replication.hear_leader(core, sender)
    _MESSAGES[type(message)](core, sender, message)


def _receive_vote_request(core: Core, sender: int, message: VoteRequest) -> None:
    if message.kind is not CampaignKind.TRANSFER and elections.hears_leader(core):
        return
    if message.term > core.term and message.kind is not CampaignKind.PRE_VOTE:
        core.become_follower(message.term, 0)
    elections.handle_vote_request(core, sender, message)


def _receive_old(core: Core, sender: int, message: Message) -> None:
    """Tell a deposed leader of the new term, so that it stops."""
    if isinstance(message, AppendRequest | Heartbeat | SnapshotChunk | CommitAdvanced):
        core.send_after_sync(sender, HeartbeatReply(core.term, 0))
    elif isinstance(message, ReadIndexRequest):
        reads.handle_read_index_request(core, sender, message)


def _propose(core: Core, event: Propose) -> None:
    if core.role is not Role.LEADER:
        _reject(core, event.ticket, RejectReason.NOT_LEADER, "this node does not lead")
    elif core.transfer_target:
        _reject(core, event.ticket, RejectReason.TRANSFERRING, "leadership is being handed over")
    elif _uncommitted_bytes(core) > core.config.uncommitted_bytes_max:
        _reject(core, event.ticket, RejectReason.OVERLOADED, "too much waits to be committed")
    else:
        append_as_leader(core, EntryKind.NORMAL, [event.data])
        core.output.placed.append(Placed(event.ticket, core.log.last_index, core.term))
        broadcast_append(core)


def _uncommitted_bytes(core: Core) -> int:
    if core.log.last_index - core.commit <= 1:
        return 0
    return sum(len(entry.data) for entry in core.log.between(core.commit + 1, core.log.last_index))


def _propose_change(core: Core, event: ProposeChange) -> None:
    if core.role is not Role.LEADER:
        _reject(core, event.ticket, RejectReason.NOT_LEADER, "this node does not lead")
        return
    if not is_ready_leader(core) or core.configuration_index > core.commit:
        # A leader first commits in its own term (Ongaro's single-server bug, 2015), and
        # changes follow each other only when the one before is committed.
        _reject(core, event.ticket, RejectReason.NOT_READY, "a change of members is under way")
        return
    try:
        configuration = apply_change(core.configuration, event.change)
    except MembershipRefused as refusal:
        _reject(core, event.ticket, RejectReason.UNSAFE, str(refusal))
        return
    append_configuration(core, configuration)
    core.output.placed.append(Placed(event.ticket, core.log.last_index, core.term))


def _reject(core: Core, ticket: int, reason: RejectReason, message: str) -> None:
    core.output.rejected.append(Rejected(ticket, reason, message))


def _persisted(core: Core, event: Persisted) -> None:
    core.synced(event.ticket)
    if event.ticket >= core.vote_ticket:
        elections.count_own_vote(core)
    elections.commit_alone(core)


_HANDLERS: dict[type, Callable[..., None]] = {
    Receive: _receive,
    TimerFired: lambda core, _: elections.handle_timer(core),
    Propose: _propose,
    ProposeChange: _propose_change,
    Read: reads.handle_read,
    Transfer: elections.handle_transfer,
    Persisted: _persisted,
    Disconnected: elections.handle_disconnected,
    SnapshotTaken: installs.handle_snapshot_taken,
    ChunkLoaded: installs.handle_chunk_loaded,
    ChunkStored: installs.handle_chunk_stored,
    SnapshotInstalled: installs.handle_snapshot_installed,
}

_MESSAGES: dict[type, Callable[..., None]] = {
    VoteReply: elections.handle_vote_reply,
    AppendRequest: replication.handle_append_request,
    AppendReply: replication.handle_append_reply,
    AppendRejected: replication.handle_append_rejected,
    CommitAdvanced: lambda core, _, message: replication.handle_commit_advanced(core, message),
    Heartbeat: replication.handle_heartbeat,
    HeartbeatReply: replication.handle_heartbeat_reply,
    SnapshotChunk: installs.handle_snapshot_chunk,
    SnapshotReply: installs.handle_snapshot_reply,
    TimeoutNow: lambda core, sender, _: elections.handle_timeout_now(core, sender),
    ReadIndexRequest: reads.handle_read_index_request,
    ReadIndexReply: lambda core, _, message: reads.handle_read_index_reply(core, message),
}

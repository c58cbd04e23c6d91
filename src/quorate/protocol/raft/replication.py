"""AppendEntries and heartbeats, on both sides (Raft paper 5.3, thesis 10.2).

A follower answers only for what its disk holds: every answer that vouches for the log goes
through `send_after_sync`. The leader pipelines, and backtracks a whole term per rejection.
"""

from __future__ import annotations

from quorate.protocol.raft.commitment import maybe_commit
from quorate.protocol.raft.core import Core
from quorate.protocol.raft.installs import leave_snapshot, retry_stalled
from quorate.protocol.raft.messages import (
    AppendRejected,
    AppendReply,
    AppendRequest,
    CommitAdvanced,
    Heartbeat,
    HeartbeatReply,
    TimeoutNow,
)
from quorate.protocol.raft.output import Role
from quorate.protocol.raft.progress import Progress, ProgressState
from quorate.protocol.raft.reads import confirm_round
from quorate.protocol.raft.sending import broadcast_append, send_append, send_empty_append


def hear_leader(core: Core, sender: int) -> None:
    """Note a message of the current term's leader."""
    if core.leader != sender or core.role is not Role.FOLLOWER:
        core.become_follower(core.term, sender)
    core.heard_leader_at = core.now
    core.election_deadline = core.now + core.draw_election_timeout()


def handle_append_request(core: Core, sender: int, message: AppendRequest) -> None:
    """Follower: match, append, acknowledge after the sync."""
    previous = message.previous_index
    if previous < core.commit:
        _append_over_committed(core, sender, message)
        return
    if core.log.term(previous) != message.previous_term:
        hint = core.log.last_index_of_term_at_most(
            min(previous - 1, core.log.last_index), message.previous_term
        )
        # Anything at or below the commit index agrees with every leader to come.
        hint = max(hint, core.commit)
        hint_term = core.log.term(hint) or 0
        core.send_after_sync(
            sender, AppendRejected(core.term, previous, hint, hint_term, message.round)
        )
        return
    _accept_entries(core, message)
    last = previous + len(message.entries)
    core.commit = max(core.commit, min(message.commit, last))
    core.send_after_sync(sender, AppendReply(core.term, last, message.round))


def _append_over_committed(core: Core, sender: int, message: AppendRequest) -> None:
    """An old or repeated message: what is committed agrees; take only what lies beyond."""
    skip = core.commit - message.previous_index
    rest = message.entries[skip:]
    term = core.log.term(core.commit)
    last = core.commit
    if rest and term is not None and message.entries[skip - 1].term == term:
        shortened = AppendRequest(
            message.term, core.commit, term, message.commit, message.round, rest
        )
        _accept_entries(core, shortened)
        last = core.commit + len(rest)
        core.commit = max(core.commit, min(message.commit, last))
    core.send_after_sync(sender, AppendReply(core.term, last, message.round))


def _accept_entries(core: Core, message: AppendRequest) -> None:
    entries = message.entries
    for place, entry in enumerate(entries):
        if core.log.term(entry.index) != entry.term:
            if entry.index <= core.log.last_index:
                core.truncate_from(entry.index)
            core.append(entries[place:])
            return


def handle_heartbeat(core: Core, sender: int, message: Heartbeat) -> None:
    """Follower: the leader lives, and has committed what this node is known to hold."""
    core.commit = max(core.commit, min(message.commit, core.log.last_index))
    core.send(sender, HeartbeatReply(core.term, message.round))


def handle_commit_advanced(core: Core, message: CommitAdvanced) -> None:
    """Follower: the leader has committed what this node is known to hold."""
    core.commit = max(core.commit, min(message.commit, core.log.last_index))


def handle_append_reply(core: Core, sender: int, message: AppendReply) -> None:
    """Leader: a follower's disk holds more."""
    progress = core.progress.get(sender)
    if core.role is not Role.LEADER or progress is None:
        return
    progress.heard_at = core.now
    was_full = len(progress.in_flight) >= core.config.window_messages
    advanced = progress.acknowledged(message.match)
    if progress.state is ProgressState.SNAPSHOT:
        leave_snapshot(core, sender, progress)
    elif progress.state is ProgressState.PROBE:
        progress.become_replicate()
    if advanced and maybe_commit(core):
        broadcast_append(core)
    elif advanced or was_full or progress.next <= core.log.last_index:
        send_append(core, sender)
    confirm_round(core, sender, message.round)
    maybe_hand_over(core, sender)


def handle_append_rejected(core: Core, sender: int, message: AppendRejected) -> None:
    """Leader: backtrack to where the logs may agree, a term at a time."""
    progress = core.progress.get(sender)
    if core.role is not Role.LEADER or progress is None:
        return
    progress.heard_at = core.now
    confirm_round(core, sender, message.round)
    stale = message.previous_index <= progress.match
    if progress.state is ProgressState.SNAPSHOT or stale:
        return
    if progress.state is ProgressState.PROBE and message.previous_index != progress.next - 1:
        return
    hint = message.hint_index
    if hint >= core.log.base_index:
        hint = core.log.last_index_of_term_at_most(hint, message.hint_term)
    following = max(min(message.previous_index, hint + 1), progress.match + 1)
    if progress.state is ProgressState.REPLICATE:
        progress.become_probe()
    progress.next = following
    progress.paused = False
    send_append(core, sender)


def handle_heartbeat_reply(core: Core, sender: int, message: HeartbeatReply) -> None:
    """Leader: a follower lives; if it lacks something that was sent, find out."""
    progress = core.progress.get(sender)
    if core.role is not Role.LEADER or progress is None:
        return
    progress.heard_at = core.now
    confirm_round(core, sender, message.round)
    lacking = progress.match < core.log.last_index or progress.state is not ProgressState.REPLICATE
    # Rounds of reads bring many replies; one look per heartbeat finds what was lost.
    if lacking and core.now - progress.nudged_at >= core.config.heartbeat_ns:
        _resume(core, sender, progress)


def _resume(core: Core, sender: int, progress: Progress) -> None:
    if progress.state is ProgressState.SNAPSHOT:
        retry_stalled(core, sender, progress)
        return
    progress.nudged_at = core.now
    progress.paused = False
    if progress.state is ProgressState.REPLICATE and progress.next > core.log.last_index:
        send_empty_append(core, sender)
    else:
        progress.free_oldest()
        send_append(core, sender)


def maybe_hand_over(core: Core, sender: int) -> None:
    """Tell the transfer's target to campaign once it holds the whole log."""
    if core.transfer_target == sender:
        progress = core.progress.get(sender)
        if progress is not None and progress.match == core.log.last_index:
            core.send(sender, TimeoutNow(core.term))

"""Elections: pre-vote, vote, becoming leader, check-quorum and handing over.

A node that hears its leader refuses to help depose it (thesis 4.2.3, 9.6), unless the
leader itself asked for the election. Losing the connection to the leader counts as not
hearing it: then a pre-vote may begin at once, and it changes nothing while others hear it.
"""

from __future__ import annotations

from quorate.protocol.quorum import VoteResult, has_quorum, vote_result
from quorate.protocol.raft.commitment import append_as_leader, maybe_commit, sync_progress
from quorate.protocol.raft.core import NEVER, Core
from quorate.protocol.raft.events import Disconnected, Transfer
from quorate.protocol.raft.messages import CampaignKind, EntryKind, VoteReply, VoteRequest
from quorate.protocol.raft.output import Role
from quorate.protocol.raft.reads import beat
from quorate.protocol.raft.replication import maybe_hand_over
from quorate.protocol.raft.sending import broadcast_append, tell_commit


def handle_timer(core: Core) -> None:
    """Campaign after silence; as leader beat, and check that a quorum still answers."""
    if core.role is not Role.LEADER:
        if core.now >= core.election_deadline:
            start_pre_vote(core)
        return
    if core.transfer_target and core.now >= core.transfer_deadline:
        core.transfer_target = 0
    if core.now >= core.quorum_deadline and not _check_quorum(core):
        return
    if core.tell_deadline and core.now >= core.tell_deadline:
        tell_commit(core)
    if core.now >= core.heartbeat_deadline:
        beat(core)


def start_pre_vote(core: Core) -> None:
    """Ask whether an election could be won, without disturbing anybody."""
    if not core.configuration.votes(core.node):
        core.election_deadline = core.now + core.draw_election_timeout()
        return
    core.become_follower(core.term, 0)
    core.role = Role.PRE_CANDIDATE
    _ask_votes(core, CampaignKind.PRE_VOTE, core.term + 1)


def start_election(core: Core, kind: CampaignKind) -> None:
    """Campaign in a new term. The own vote counts once it is on disk."""
    core.become_follower(core.term + 1, 0)
    core.role = Role.CANDIDATE
    core.vote = core.node
    _ask_votes(core, kind, core.term)


def handle_timeout_now(core: Core, sender: int) -> None:
    """The leader hands over: campaign without a pre-vote."""
    if sender == core.leader and core.configuration.votes(core.node):
        start_election(core, CampaignKind.TRANSFER)


def handle_vote_request(core: Core, sender: int, message: VoteRequest) -> None:
    """Vote for a candidate whose log is at least as complete (paper 5.4.1)."""
    pre_vote = message.kind is CampaignKind.PRE_VOTE
    complete = (message.last_term, message.last_index) >= (core.log.last_term, core.log.last_index)
    if pre_vote:
        free = message.term > core.term
    else:
        free = message.term == core.term and core.vote in (0, sender) and core.leader == 0
    granted = complete and free
    if granted and not pre_vote:
        core.vote = sender
        core.election_deadline = core.now + core.draw_election_timeout()
    term = message.term if granted else core.term
    reply = VoteReply(term, message.kind, granted)
    if pre_vote:
        core.send(sender, reply)
    else:
        core.send_after_sync(sender, reply)


def hears_leader(core: Core) -> bool:
    """Whether a leader was heard within the shortest election timeout, or is this node."""
    if core.role is Role.LEADER:
        return True
    return core.leader != 0 and core.now - core.heard_leader_at < core.config.election_ns


def handle_vote_reply(core: Core, sender: int, message: VoteReply) -> None:
    """Count a vote that belongs to the campaign under way."""
    if message.kind is CampaignKind.PRE_VOTE:
        expected = core.role is Role.PRE_CANDIDATE
        current = not message.granted or message.term == core.term + 1
    else:
        expected = core.role is Role.CANDIDATE
        current = message.term == core.term
    if expected and current:
        core.votes[sender] = message.granted
        _count_votes(core)


def count_own_vote(core: Core) -> None:
    """Count the own vote of an election, now that it is on disk."""
    if core.role is Role.CANDIDATE and core.vote == core.node and core.node not in core.votes:
        core.votes[core.node] = True
        _count_votes(core)


def handle_disconnected(core: Core, event: Disconnected) -> None:
    """A lost connection to the leader shortens the wait; one to a follower stops pipelining."""
    if core.role is Role.LEADER:
        progress = core.progress.get(event.node)
        if progress is not None and progress.snapshot is None:
            progress.become_probe()
    elif event.node == core.leader:
        core.heard_leader_at = NEVER
        wait = int(core.config.disconnect_ns * (1.0 + 3.0 * core.jitter()))
        core.election_deadline = min(core.election_deadline, core.now + wait)


def handle_transfer(core: Core, event: Transfer) -> None:
    """Begin to hand over: no new proposals until the target leads or a timeout passes."""
    if core.role is not Role.LEADER:
        return
    target = event.target or _most_advanced(core)
    if target == core.node or target not in core.configuration.voters:
        return
    core.transfer_target = target
    core.transfer_deadline = core.now + core.config.election_ns
    maybe_hand_over(core, target)


def _most_advanced(core: Core) -> int:
    candidates = [node for node in core.progress if node in core.configuration.voters]
    return max(candidates, key=lambda node: core.progress[node].match, default=0)


def _ask_votes(core: Core, kind: CampaignKind, term: int) -> None:
    core.election_deadline = core.now + core.draw_election_timeout()
    core.votes = {}
    request = VoteRequest(term, kind, core.log.last_index, core.log.last_term)
    for node in core.others:
        if core.configuration.votes(node):
            if kind is CampaignKind.PRE_VOTE:
                core.send(node, request)
            else:
                core.send_after_sync(node, request)
    if kind is CampaignKind.PRE_VOTE:
        core.votes[core.node] = True
        _count_votes(core)


def _count_votes(core: Core) -> None:
    result = vote_result(core.configuration.quorums, core.votes)
    if result is VoteResult.WON:
        if core.role is Role.PRE_CANDIDATE:
            start_election(core, CampaignKind.ELECTION)
        else:
            _become_leader(core)
    elif result is VoteResult.LOST:
        core.role = Role.FOLLOWER
        core.votes = {}


def _become_leader(core: Core) -> None:
    core.role = Role.LEADER
    core.leader = core.node
    core.votes = {}
    core.reads.clear()
    core.round = 0
    core.tell_deadline = 0
    core.transfer_target = 0
    core.progress = {}
    core.heartbeat_deadline = core.now + core.config.heartbeat_ns
    core.quorum_deadline = core.now + core.config.election_ns
    core.term_start = core.log.last_index + 1
    sync_progress(core)
    append_as_leader(core, EntryKind.EMPTY, [b""])
    broadcast_append(core)


def _check_quorum(core: Core) -> bool:
    """Step down when no majority answered for an election timeout (thesis 6.2)."""
    core.quorum_deadline = core.now + core.config.election_ns
    since = core.now - core.config.election_ns
    alive = [node for node, progress in core.progress.items() if progress.heard_at >= since]
    if core.configuration.votes(core.node):
        alive.append(core.node)
    if has_quorum(core.configuration.quorums, alive):
        return True
    core.become_follower(core.term, 0)
    return False


def commit_alone(core: Core) -> None:
    """Commit what the leader's own disk now holds, where that is a quorum."""
    if core.role is Role.LEADER and maybe_commit(core):
        broadcast_append(core)

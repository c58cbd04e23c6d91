"""Linearizable reads without a log entry: ReadIndex (Raft thesis 6.4).

A read takes the commit index, then waits for a quorum round that began after it arrived.
A new leader answers nothing before an entry of its own term is committed, since only then
does it know what its predecessors committed. Followers ask their leader for the index.
"""

from __future__ import annotations

from quorate.protocol.quorum import agreed_index
from quorate.protocol.raft.core import Core, PendingRead
from quorate.protocol.raft.events import Read
from quorate.protocol.raft.messages import Heartbeat, ReadIndexReply, ReadIndexRequest
from quorate.protocol.raft.output import ReadReady, Role
from quorate.protocol.raft.progress import Progress


def handle_read(core: Core, event: Read) -> None:
    """Take a read of this node's own host."""
    if core.role is Role.LEADER:
        _enqueue(core, event.context, 0)
    elif core.leader:
        core.forwarded_reads[event.context] = None
        core.send(core.leader, ReadIndexRequest(core.term, event.context))
    else:
        core.output.failed_reads.append(event.context)


def handle_read_index_request(core: Core, sender: int, message: ReadIndexRequest) -> None:
    """Take a follower's read."""
    if core.role is Role.LEADER:
        _enqueue(core, message.context, sender)
    else:
        core.send(sender, ReadIndexReply(core.term, message.context, 0))


def handle_read_index_reply(core: Core, message: ReadIndexReply) -> None:
    """Take the leader's answer to a forwarded read; an answer to an older attempt is dropped."""
    if message.context not in core.forwarded_reads:
        return
    del core.forwarded_reads[message.context]
    if message.index:
        core.output.reads.append(ReadReady(message.context, message.index))
    else:
        core.output.failed_reads.append(message.context)


def confirm_round(core: Core, sender: int, round_: int) -> None:
    """Note that a follower answered a message of this round, and release what it confirms."""
    progress = core.progress.get(sender)
    if progress is not None and round_ > progress.round:
        progress.round = round_
        if core.reads:
            release_confirmed(core)


def release_confirmed(core: Core) -> None:
    """Answer the reads whose round a quorum has confirmed."""
    confirmed = agreed_index(core.configuration.quorums, lambda node: _round_of(core, node))
    while core.reads and core.reads[0].round <= confirmed:
        read = core.reads.popleft()
        _answer(core, read.context, read.origin, read.index)


def release_early(core: Core) -> None:
    """Start the reads that came before this term's first commit."""
    waiting, core.early_reads = core.early_reads, []
    for context, origin in waiting:
        _enqueue(core, context, origin)


def broadcast_round(core: Core) -> None:
    """Send a heartbeat to everybody."""
    for node, progress in core.progress.items():
        _send_heartbeat(core, node, progress)


def beat(core: Core) -> None:
    """Send a heartbeat to whom nothing has been sent for so long: any request shows life."""
    interval = core.config.heartbeat_ns
    for node, progress in core.progress.items():
        if core.now - progress.sent_at >= interval:
            _send_heartbeat(core, node, progress)
    sent = (progress.sent_at for progress in core.progress.values())
    core.heartbeat_deadline = min(sent, default=core.now) + interval


def _send_heartbeat(core: Core, node: int, progress: Progress) -> None:
    """Ask for an answer; never promise a commit the receiver may lack."""
    progress.sent_at = core.now
    core.send(node, Heartbeat(core.term, min(progress.match, core.commit), core.round))


def _enqueue(core: Core, context: int, origin: int) -> None:
    if core.commit < core.term_start:
        core.early_reads.append((context, origin))
        return
    # One round a step is enough: a read that comes later gets a later round.
    core.round += 1
    core.reads.append(PendingRead(context, origin, core.round, core.commit))
    broadcast_round(core)
    release_confirmed(core)


def _round_of(core: Core, node: int) -> int:
    if node == core.node:
        return core.round
    progress = core.progress.get(node)
    return progress.round if progress else 0


def _answer(core: Core, context: int, origin: int, index: int) -> None:
    if origin == 0:
        core.output.reads.append(ReadReady(context, index))
    else:
        core.send(origin, ReadIndexReply(core.term, context, index))

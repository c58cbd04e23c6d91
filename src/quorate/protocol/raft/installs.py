"""Installing a snapshot on a follower whose log ends before the leader's begins.

The file goes in chunks, one under way per follower. The follower says how much it holds,
so a transfer resumes after a lost message, a reconnect, a restart or a new leader, as long
as the snapshot's identity is the same. Only after the whole file is verified, on disk and
in the machine does the follower acknowledge the log up to it.
"""

from __future__ import annotations

from quorate.protocol.raft.core import Core
from quorate.protocol.raft.events import (
    ChunkLoaded,
    ChunkStored,
    SnapshotInstalled,
    SnapshotTaken,
)
from quorate.protocol.raft.messages import AppendReply, SnapshotChunk, SnapshotReply
from quorate.protocol.raft.output import LoadChunk, Role, StoreChunk
from quorate.protocol.raft.progress import Progress, ProgressState
from quorate.protocol.raft.sending import offer_snapshot, send_append


def handle_snapshot_taken(core: Core, event: SnapshotTaken) -> None:
    """Forget the log that a snapshot of the machine replaces, but for a catch-up tail."""
    if core.snapshot is None or event.snapshot.index > core.snapshot.index:
        core.snapshot = event.snapshot
    keep_from = min(event.keep_from, event.snapshot.index + 1, core.durable + 1)
    if keep_from - 1 <= core.log.base_index:
        return
    base = max(
        (each for each in core.configurations if each[0] < keep_from), key=lambda each: each[0]
    )
    later = [each for each in core.configurations if each[0] >= keep_from]
    core.log.compact(keep_from - 1)
    core.configurations = [base, *later]


def handle_chunk_loaded(core: Core, event: ChunkLoaded) -> None:
    """Send a chunk that the disk delivered, if the follower still waits for it."""
    progress = core.progress.get(event.node)
    if progress is None or progress.snapshot != event.snapshot:
        return
    if not event.data:
        progress.become_probe()
        return
    progress.nudged_at = core.now
    core.send(event.node, SnapshotChunk(core.term, event.snapshot, event.offset, event.data))


def handle_snapshot_reply(core: Core, sender: int, message: SnapshotReply) -> None:
    """Go on where the follower is."""
    progress = core.progress.get(sender)
    if progress is None or core.role is not Role.LEADER or progress.snapshot is None:
        return
    if progress.snapshot.index != message.index:
        return
    progress.heard_at = core.now
    progress.nudged_at = core.now
    progress.offset = message.offset
    remaining = progress.snapshot.size - message.offset
    if remaining > 0:
        size = min(remaining, core.config.chunk_bytes)
        core.output.loads.append(LoadChunk(sender, progress.snapshot, message.offset, size))


def retry_stalled(core: Core, node: int, progress: Progress) -> None:
    """Offer the snapshot again when nothing was heard for an election timeout."""
    stalled = core.now - progress.nudged_at >= core.config.election_ns
    if progress.state is ProgressState.SNAPSHOT and stalled:
        if core.snapshot is not None and progress.snapshot != core.snapshot:
            progress.become_snapshot(core.snapshot, core.now)
        offer_snapshot(core, node)


def handle_snapshot_chunk(core: Core, sender: int, message: SnapshotChunk) -> None:
    """Take a chunk, unless the log reaches as far already."""
    if message.snapshot.index <= core.commit:
        core.send_after_sync(sender, AppendReply(core.term, core.commit, 0))
        return
    core.output.stores.append(StoreChunk(sender, message.snapshot, message.offset, message.data))


def handle_chunk_stored(core: Core, event: ChunkStored) -> None:
    """Tell the leader how far the file has come."""
    if event.sender == core.leader:
        core.send(event.sender, SnapshotReply(core.term, event.snapshot.index, event.offset))


def handle_snapshot_installed(core: Core, event: SnapshotInstalled) -> None:
    """Make the snapshot the log's base; the acknowledgement waits for that to be on disk."""
    if event.snapshot.index > core.commit:
        core.install(event.snapshot)
    if event.sender == core.leader:
        core.send_after_sync(event.sender, AppendReply(core.term, core.commit, 0))


def leave_snapshot(core: Core, node: int, progress: Progress) -> None:
    """Return to the log once the follower acknowledges it as far as it is kept."""
    if progress.match >= core.log.base_index:
        progress.become_replicate()
        send_append(core, node)

"""How the leader sends its log to one follower: probing, pipelining, or a snapshot."""

from __future__ import annotations

from quorate.protocol.raft.core import Core
from quorate.protocol.raft.messages import (
    AppendRequest,
    CommitAdvanced,
    Entry,
    SnapshotChunk,
)
from quorate.protocol.raft.progress import Progress, ProgressState

ENTRY_OVERHEAD_BYTES = 16


def broadcast_append(core: Core) -> None:
    """Send every follower what it lacks and its window allows."""
    for node in core.progress:
        send_append(core, node)


def send_append(core: Core, node: int) -> None:
    """Send one follower what it lacks, as far as its state and window allow."""
    progress = core.progress[node]
    if progress.state is ProgressState.REPLICATE:
        while progress.next <= core.log.last_index and _window_open(core, progress):
            if not _send_entries(core, node, progress):
                return
    elif progress.state is ProgressState.PROBE and not progress.paused:
        progress.paused = _send_entries(core, node, progress)


def send_empty_append(core: Core, node: int) -> None:
    """Send the log's position without entries, so that the answer shows what was lost."""
    progress = core.progress[node]
    previous_term = core.log.term(progress.next - 1)
    if previous_term is None:
        _begin_snapshot(core, node, progress)
        return
    progress.sent_at = core.now
    core.send(
        node,
        AppendRequest(
            core.term, progress.next - 1, previous_term, core.commit, core.round, entries=()
        ),
    )


def tell_commit(core: Core) -> None:
    """Tell the followers that no entries have told how far the commit has come."""
    core.tell_deadline = 0
    for node, progress in core.progress.items():
        commit = min(progress.match, core.commit)
        if progress.state is ProgressState.REPLICATE and progress.told < commit:
            progress.told = commit
            core.send(node, CommitAdvanced(core.term, commit))


def offer_snapshot(core: Core, node: int) -> None:
    """Ask a follower how much of the snapshot it holds, so that the transfer resumes there."""
    progress = core.progress[node]
    assert progress.snapshot is not None
    progress.nudged_at = core.now
    core.send(node, SnapshotChunk(core.term, progress.snapshot, 0, b""))


def _window_open(core: Core, progress: Progress) -> bool:
    return (
        len(progress.in_flight) < core.config.window_messages
        and progress.in_flight_bytes < core.config.window_bytes
    )


def _send_entries(core: Core, node: int, progress: Progress) -> bool:
    """Send one message of entries; tell whether it was sent (not turned into a snapshot)."""
    previous_index = progress.next - 1
    previous_term = core.log.term(previous_index)
    if previous_term is None:
        _begin_snapshot(core, node, progress)
        return False
    entries: tuple[Entry, ...] = ()
    if progress.next <= core.log.last_index:
        entries = core.log.slice(progress.next, core.config.append_bytes_max)
    core.send(
        node,
        AppendRequest(core.term, previous_index, previous_term, core.commit, core.round, entries),
    )
    progress.told = core.commit
    progress.sent_at = core.now
    if entries and progress.state is ProgressState.REPLICATE:
        size = sum(len(entry.data) + ENTRY_OVERHEAD_BYTES for entry in entries)
        progress.sent(entries[-1].index, size)
    return True


def _begin_snapshot(core: Core, node: int, progress: Progress) -> None:
    assert core.snapshot is not None, "a log without its beginning has a snapshot"
    progress.become_snapshot(core.snapshot, core.now)
    offer_snapshot(core, node)

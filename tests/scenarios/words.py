"""Messages, entries and states as short lines. A place in the log is written term/index."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from quorate.protocol.raft import Configuration, Entry, EntryKind, Message, Raft, Role
from quorate.protocol.raft.configuration import decode_configuration
from quorate.protocol.raft.messages import (
    AppendRejected,
    AppendReply,
    AppendRequest,
    CampaignKind,
    CommitAdvanced,
    Heartbeat,
    HeartbeatReply,
    ReadIndexReply,
    ReadIndexRequest,
    SnapshotChunk,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from quorate.protocol.raft.output import Persist

CAMPAIGNS = {
    CampaignKind.PRE_VOTE: "PreVote",
    CampaignKind.ELECTION: "Vote",
    CampaignKind.TRANSFER: "TransferVote",
}


def configuration_words(configuration: Configuration) -> str:
    """Say who votes, who did, and who learns: `voters 1 2 3 old 1 2 learners 4`."""
    words = ["voters", *map(str, configuration.voters)]
    if configuration.outgoing:
        words += ["old", *map(str, configuration.outgoing)]
    if configuration.learners:
        words += ["learners", *map(str, configuration.learners)]
    return " ".join(words)


def entry_words(entry: Entry) -> str:
    """Say an entry: `2/5 "text"`, `2/5 empty`, `2/5 {voters 1 2 3}`."""
    place = f"{entry.term}/{entry.index}"
    if entry.kind is EntryKind.EMPTY:
        return f"{place} empty"
    if entry.kind is EntryKind.CONFIGURATION:
        return f"{place} {{{configuration_words(decode_configuration(entry.data))}}}"
    return f'{place} "{entry.data.decode()}"'


def entries_words(entries: Iterable[Entry]) -> str:
    """Say several entries."""
    return ", ".join(entry_words(entry) for entry in entries) or "nothing"


def _append(message: AppendRequest) -> str:
    words = f"after {message.previous_term}/{message.previous_index} commit {message.commit}"
    return f"{words} round {message.round}: {entries_words(message.entries)}"


def _chunk(message: SnapshotChunk) -> str:
    place = f"{message.snapshot.term}/{message.snapshot.index}"
    if not message.data:
        return f"of {place}: how much is held?"
    return f"of {place}: {len(message.data)} bytes from {message.offset}"


_REST: dict[type, Callable[..., str]] = {
    VoteRequest: lambda m: f"last {m.last_term}/{m.last_index}",
    VoteReply: lambda m: "granted" if m.granted else "refused",
    AppendRequest: _append,
    AppendReply: lambda m: f"match {m.match} round {m.round}",
    AppendRejected: lambda m: (
        f"after {m.previous_index} hint {m.hint_term}/{m.hint_index} round {m.round}"
    ),
    Heartbeat: lambda m: f"commit {m.commit} round {m.round}",
    HeartbeatReply: lambda m: f"round {m.round}",
    SnapshotChunk: _chunk,
    SnapshotReply: lambda m: f"of index {m.index}: {m.offset} bytes are held",
    TimeoutNow: lambda _: "",
    ReadIndexRequest: lambda m: f"read {m.context}",
    ReadIndexReply: lambda m: f"read {m.context} index {m.index}",
    CommitAdvanced: lambda m: f"commit {m.commit}",
}


def message_name(message: Message) -> str:
    """Name a message as scenarios do; the three kinds of votes have names of their own."""
    if isinstance(message, VoteRequest):
        return CAMPAIGNS[message.kind]
    if isinstance(message, VoteReply):
        return f"{CAMPAIGNS[message.kind]}Reply"
    return type(message).__name__


def message_words(message: Message) -> str:
    """Say a message."""
    return f"{message_name(message)} term {message.term} {_REST[type(message)](message)}".rstrip()


def persist_words(persist: Persist) -> str:
    """Say what is to be written, and to whom messages wait for it."""
    parts = []
    if persist.hard_state is not None:
        parts.append(f"term {persist.hard_state.term} vote {persist.hard_state.vote}")
    if persist.truncate_from:
        parts.append(f"cut from {persist.truncate_from}")
    if persist.snapshot is not None:
        parts.append(f"snapshot {persist.snapshot[1]}/{persist.snapshot[0]}")
    if persist.entries:
        parts.append(entries_words(persist.entries))
    return ", ".join(parts) or "nothing"


def role_words(role: Role, term: int, leader: int) -> str:
    """Say a role: `leader in term 2`, `follower of 1 in term 2`, `follower in term 2`."""
    whom = f" of {leader}" if leader and role is not Role.LEADER else ""
    return f"{role.value}{whom} in term {term}"


def status_words(raft: Raft) -> str:
    """Say where a node stands."""
    core = raft.core
    log = core.log
    return (
        f"{role_words(raft.role, raft.term, raft.leader)}, "
        f"log {log.base_term}/{log.base_index} to {log.last_term}/{log.last_index}, "
        f"commit {raft.commit_index}, durable {core.durable}, "
        f"{configuration_words(raft.configuration)}"
    )


def progress_words(raft: Raft) -> list[str]:
    """Say what a leader knows of each follower."""
    lines = []
    for node, progress in raft.core.progress.items():
        line = f"{node}: {progress.state.name.lower()}, match {progress.match}, "
        line += f"next {progress.next}, in flight {len(progress.in_flight)}"
        lines.append(line + (", paused" if progress.paused else ""))
    return lines

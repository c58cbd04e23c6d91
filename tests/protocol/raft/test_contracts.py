"""What the parts of a node promise each other, where no run of a whole node comes by.

A node empties its new entries with every step, installs only what lies beyond its log's base,
and its hosts report a complete file as installed; the parts hold for more than that.
"""

from __future__ import annotations

from tests.protocol.raft.network import CONFIG, member

from quorate.protocol.raft import (
    Entry,
    EntryKind,
    HardState,
    Raft,
    SnapshotIdentity,
    bootstrap,
)
from quorate.protocol.raft.configuration import encode_configuration
from quorate.protocol.raft.events import (
    ChunkLoaded,
    Persisted,
    Propose,
    Read,
    Receive,
    SnapshotTaken,
    TimerFired,
)
from quorate.protocol.raft.messages import (
    AppendRejected,
    AppendReply,
    CampaignKind,
    Heartbeat,
    SnapshotChunk,
    SnapshotReply,
    VoteReply,
)
from quorate.protocol.raft.output import Output
from quorate.protocol.raft.progress import ProgressState
from quorate.protocol.raft.sending import send_empty_append

MEMBERS = bootstrap([member(1), member(2), member(3)])


def entry(term: int, index: int) -> Entry:
    return Entry(term, index, EntryKind.NORMAL, b"%d.%d" % (term, index))


def node(entries: list[Entry]) -> Raft:
    return Raft(
        node=1,
        at=0,
        jitter=lambda: 0.0,
        configuration=MEMBERS,
        config=CONFIG,
        hard_state=HardState(1, 0, 0),
        entries=entries,
    )


def snapshot(index: int, term: int) -> SnapshotIdentity:
    return SnapshotIdentity(index, term, 9, 0, encode_configuration(MEMBERS))


def heartbeats(output: Output) -> list[int]:
    return [node for node, message in output.send if isinstance(message, Heartbeat)]


def leader_with_a_compacted_log() -> Raft:
    """Return a leader of term 2 whose log begins after index 4, its own first entry."""
    raft = node([entry(1, index) for index in (1, 2, 3)])
    raft.step(TimerFired(CONFIG.election_ns))
    now = raft.core.now
    raft.step(Receive(now, 2, VoteReply(2, CampaignKind.PRE_VOTE, granted=True)))
    raft.step(Persisted(now, 1))
    raft.step(Receive(now, 2, VoteReply(2, CampaignKind.ELECTION, granted=True)))
    raft.step(Persisted(now, 2))
    raft.step(Receive(now, 2, AppendReply(2, 4, 0)))
    raft.step(SnapshotTaken(now, snapshot(4, 2), 5))
    assert raft.ready
    assert raft.core.log.base_index == 4
    return raft


def test_what_is_added_and_cut_off_in_one_step_is_not_written() -> None:
    core = node([entry(1, 1)]).core
    core.append([entry(1, 2), entry(1, 3)])
    core.truncate_from(3)
    core.append([entry(1, 3)])
    core.truncate_from(2)
    core.append([entry(2, 2)])
    persist = core.finish().persist
    assert persist is not None
    assert persist.truncate_from == 2
    assert persist.entries == [entry(2, 2)]


def test_a_snapshot_at_the_base_of_the_log_leaves_the_log_alone() -> None:
    raft = leader_with_a_compacted_log()
    raft.core.install(snapshot(4, 2))
    assert (raft.core.log.base_index, raft.core.log.last_index) == (4, 4)


def test_an_empty_append_before_the_log_turns_into_a_snapshot() -> None:
    core = leader_with_a_compacted_log().core
    core.progress[3].next = 2
    send_empty_append(core, 3)
    assert core.output.send == [(3, SnapshotChunk(2, snapshot(4, 2), 0, b""))]


def test_a_follower_that_holds_the_whole_file_is_sent_no_more_of_it() -> None:
    raft = leader_with_a_compacted_log()
    now = raft.core.now
    # Node 3 has an empty log: the answer to its rejection is the snapshot.
    assert raft.step(Receive(now, 3, AppendRejected(2, 3, 0, 0, 0))).send
    assert raft.step(Receive(now, 3, SnapshotReply(2, 4, 6))).loads
    assert not raft.step(Receive(now, 3, SnapshotReply(2, 4, 9))).loads


def test_a_chunk_for_a_follower_that_no_longer_waits_is_not_sent() -> None:
    raft = leader_with_a_compacted_log()
    now = raft.core.now
    assert not raft.step(ChunkLoaded(now, 3, snapshot(4, 2), 0, b"123")).send
    assert not raft.step(ChunkLoaded(now, 9, snapshot(4, 2), 0, b"123")).send


def test_what_a_follower_says_of_a_snapshot_that_is_not_on_its_way_is_ignored() -> None:
    raft = leader_with_a_compacted_log()
    now = raft.core.now
    assert not raft.step(Receive(now, 3, SnapshotReply(2, 4, 0))).loads
    raft.step(Receive(now, 3, AppendRejected(2, 3, 0, 0, 0)))
    assert not raft.step(Receive(now, 3, SnapshotReply(2, 3, 0))).loads
    assert raft.step(Receive(now, 3, SnapshotReply(2, 4, 0))).loads


def test_a_chunk_that_the_disk_no_longer_has_makes_the_leader_look_anew() -> None:
    raft = leader_with_a_compacted_log()
    now = raft.core.now
    raft.step(Receive(now, 3, AppendRejected(2, 3, 0, 0, 0)))
    assert not raft.step(ChunkLoaded(now, 3, snapshot(4, 2), 0, b"")).send
    assert raft.core.progress[3].state is ProgressState.PROBE


def test_who_was_just_sent_a_request_gets_no_heartbeat() -> None:
    raft = leader_with_a_compacted_log()
    start, interval = raft.core.now, CONFIG.heartbeat_ns
    half = start + interval // 2
    raft.step(Propose(half, 1, b"x"))  # goes to 2 only: 3 has not yet answered its first probe

    first = raft.step(TimerFired(start + interval))
    assert heartbeats(first) == [3]
    assert first.deadline == half + interval
    assert heartbeats(raft.step(TimerFired(half + interval))) == [2]


def test_a_read_keeps_everybody_s_heartbeat_for_later() -> None:
    raft = leader_with_a_compacted_log()
    asked = raft.core.now + CONFIG.heartbeat_ns // 2
    assert heartbeats(raft.step(Read(asked, 1))) == [2, 3]

    early = raft.step(TimerFired(asked + CONFIG.heartbeat_ns - 1))
    assert not heartbeats(early)
    assert early.deadline == asked + CONFIG.heartbeat_ns
    assert heartbeats(raft.step(TimerFired(early.deadline))) == [2, 3]

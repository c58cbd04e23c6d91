"""A world of pure Raft nodes in which nothing happens by itself.

Messages wait in one queue until they are delivered, writes until they are synced, and every
node has a clock of its own that stands still until it is moved. Whatever a step brings about
is told in the trace. The safety properties are checked after every step, and two promises
about the disk with every message: a vote and an acknowledgement leave only after their sync.
"""

from __future__ import annotations

from collections import deque
from itertools import combinations
from typing import NamedTuple

from tests.protocol.raft.safety import Safety, logs_match
from tests.scenarios.disk import Disk
from tests.scenarios.words import (
    entry_words,
    message_words,
    persist_words,
    role_words,
)

from quorate.protocol.raft import Configuration, Entry, Message, Raft, RaftConfig
from quorate.protocol.raft.events import (
    ChunkLoaded,
    ChunkStored,
    Event,
    Persisted,
    Receive,
    SnapshotInstalled,
    TimerFired,
)
from quorate.protocol.raft.messages import AppendReply, CampaignKind, VoteReply
from quorate.protocol.raft.output import LoadChunk, Output, Persist, StoreChunk

MILLISECOND = 1_000_000
CONFIG = RaftConfig(heartbeat_ns=100 * MILLISECOND, election_ns=1000 * MILLISECOND)
Job = Persist | LoadChunk | StoreChunk


class Letter(NamedTuple):
    """A message under way."""

    source: int
    target: int
    message: Message


class Node:
    """One node: its disk, the work its disk still has, its machine and its clock."""

    def __init__(self, number: int, disk: Disk) -> None:
        self.number = number
        self.disk = disk
        self.jobs: deque[Job] = deque()
        self.applied: list[Entry] = []
        self.alive = False
        self.clock = 0
        self.deadline = 0
        self.raft: Raft


class World:
    """The nodes, and everything that is between them."""

    def __init__(self, config: RaftConfig) -> None:
        self.config = config
        self.nodes: dict[int, Node] = {}
        self.letters: list[Letter] = []
        self.cut: set[tuple[int, int]] = set()
        self.safety = Safety()
        self.trace: list[str] = []
        self.tells_sends = True

    def add(self, number: int, configuration: Configuration) -> Node:
        """Put a node with an empty disk into the world; it is not started."""
        self.nodes[number] = Node(number, Disk(configuration))
        return self.nodes[number]

    def start(self, node: Node) -> None:
        """Start a node from what its disk holds.

        The draws of election timeouts are fixed, so that lower numbers are less patient:
        node 1 waits 1000 ms, node 2 waits 1100 ms, and so on.
        """
        node.disk.recover()
        node.applied = node.disk.machine()
        patience = (node.number - 1) % 10 / 10
        node.raft = Raft(
            node=node.number,
            at=node.clock,
            jitter=lambda: patience,
            config=self.config,
            configuration=node.disk.configuration,
            hard_state=node.disk.hard_state,
            base=node.disk.base,
            entries=node.disk.entries,
            snapshot=node.disk.snapshot,
        )
        node.alive = True
        self.step(node, TimerFired(node.clock))

    def crash(self, node: Node, *, unsynced_survives: bool) -> None:
        """Stop a node; what it had not synced may have reached the disk all the same."""
        for job in node.jobs:
            if unsynced_survives and isinstance(job, Persist):
                node.disk.write(job)
        node.jobs.clear()
        node.alive = False

    def step(self, node: Node, event: Event) -> None:
        """Give a node one event, and tell what follows."""
        output = node.raft.step(event)
        node.deadline = output.deadline
        self._tell(node, output)
        for target, message in output.send:
            self._send(node, target, message)
        if output.persist is not None:
            node.jobs.append(output.persist)
        node.jobs.extend(output.loads)
        node.jobs.extend(output.stores)
        self._apply(node, output.committed)
        self.check(node)

    def check(self, node: Node) -> None:
        """Check the safety properties as far as a step of one node can breach them."""
        self.safety.observe(node.number, node.raft)
        running = [each.raft for each in self.nodes.values() if each.alive]
        for one, other in combinations(running, 2):
            logs_match(one, other)

    def deliver(self, letter: Letter) -> None:
        """Let a message arrive, unless the network or its target is down."""
        source, target, message = letter
        node = self.nodes[target]
        words = f"{source} -> {target} {message_words(message)}"
        if (source, target) in self.cut or not node.alive:
            self.trace.append(f"{words} (lost)")
            return
        self.trace.append(words)
        self.step(node, Receive(node.clock, source, message))

    def sync(self, node: Node) -> None:
        """Finish the oldest job of a node's disk."""
        job = node.jobs.popleft()
        if isinstance(job, Persist):
            node.disk.write(job)
            self.trace.append(f"{node.number} synced {persist_words(job)}")
            for target, message in job.messages:
                self._send(node, target, message)
            self.step(node, Persisted(node.clock, job.ticket))
        elif isinstance(job, LoadChunk):
            data = b""
            if node.disk.snapshot == job.snapshot:
                data = node.disk.snapshot_data[job.offset : job.offset + job.size]
            self.trace.append(f"{node.number} loaded {len(data)} bytes from {job.offset}")
            self.step(node, ChunkLoaded(node.clock, job.node, job.snapshot, job.offset, data))
        else:
            self._store(node, job)

    def fire(self, node: Node) -> None:
        """Let a node's timer fire; its clock has come as far."""
        self.step(node, TimerFired(node.clock))

    def _store(self, node: Node, chunk: StoreChunk) -> None:
        snapshot = chunk.snapshot
        held = node.disk.store(chunk)
        self.trace.append(f"{node.number} stored {held} of {snapshot.size} bytes")
        if held < snapshot.size:
            self.step(node, ChunkStored(node.clock, chunk.sender, snapshot, held))
            return
        node.disk.complete()
        if not node.applied or snapshot.index > node.applied[-1].index:
            node.applied = node.disk.machine()
            self.trace.append(f"{node.number} restored its machine to {snapshot.index}")
        self.step(node, SnapshotInstalled(node.clock, chunk.sender, snapshot))

    def _send(self, node: Node, target: int, message: Message) -> None:
        if isinstance(message, AppendReply):
            assert message.match <= node.disk.last_index, "acknowledged before it was on disk"
        if isinstance(message, VoteReply) and message.granted:
            state = (node.disk.hard_state.term, node.disk.hard_state.vote)
            counts = message.kind is not CampaignKind.PRE_VOTE
            voted = state[0] > message.term or state == (message.term, target)
            assert voted or not counts, "voted before the vote was on disk"
        if self.tells_sends:
            self.trace.append(f"  {node.number} to {target}: {message_words(message)}")
        self.letters.append(Letter(node.number, target, message))

    def _tell(self, node: Node, output: Output) -> None:
        lines = []
        if output.role is not None:
            role = output.role
            lines.append(f"is {role_words(role.role, role.term, role.leader)}")
        lines += [f"placed proposal {each.ticket} at {each.index}" for each in output.placed]
        for refused in output.rejected:
            reason = refused.reason.name.lower().replace("_", " ")
            lines.append(f"refused proposal {refused.ticket}, {reason}: {refused.message}")
        lines += [f"may answer read {each.context} at {each.index}" for each in output.reads]
        lines += [f"gave read {context} back" for context in output.failed_reads]
        if output.persist is not None:
            waiting = "".join(
                f"; then to {target}: {message_words(message)}"
                for target, message in output.persist.messages
            )
            if self.tells_sends:
                lines.append(f"writes {persist_words(output.persist)}{waiting}")
        if self.tells_sends:
            lines += [f"loads {each.size} bytes from {each.offset}" for each in output.loads]
            lines += [f"stores {len(each.data)} bytes at {each.offset}" for each in output.stores]
        self.trace.extend(f"  {node.number} {line}" for line in lines)

    def _apply(self, node: Node, committed: list[Entry]) -> None:
        for entry in committed:
            self.safety.apply(node.applied, entry)
            node.applied.append(entry)
        if committed:
            words = ", ".join(entry_words(entry) for entry in committed)
            self.trace.append(f"  {node.number} applies {words}")

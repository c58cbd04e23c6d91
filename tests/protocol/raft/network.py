"""A network of pure Raft nodes in memory: seeded loss, delay, reordering, crashes.

Each node has a disk (what was persisted) and a machine (the list of applied entries).
After every step the safety properties of the Raft paper (figure 3) are checked.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from tests.protocol.raft.safety import Safety

from quorate.protocol.raft import Configuration, Entry, HardState, Raft, RaftConfig, Role
from quorate.protocol.raft.configuration import Member, bootstrap, encode_configuration
from quorate.protocol.raft.events import (
    ChunkLoaded,
    ChunkStored,
    Event,
    Persisted,
    Propose,
    Receive,
    SnapshotInstalled,
    SnapshotTaken,
    TimerFired,
)
from quorate.protocol.raft.messages import EntryKind, SnapshotIdentity
from quorate.protocol.raft.output import Output, Persist, StoreChunk

MILLISECOND = 1_000_000
CONFIG = RaftConfig(
    heartbeat_ns=10 * MILLISECOND, election_ns=60 * MILLISECOND, append_bytes_max=200, chunk_bytes=3
)


def member(node: int) -> Member:
    return Member(node, f"n{node}", f"127.0.0.1:{7000 + node}")


class Disk:
    """What one node has persisted."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.base = (0, 0)
        self.entries: list[Entry] = []
        self.snapshot: SnapshotIdentity | None = None
        self.snapshot_data: tuple[Entry, ...] = ()
        self.configuration = Configuration()

    def write(self, persist: Persist) -> None:
        if persist.hard_state is not None:
            self.hard_state = persist.hard_state
        if persist.truncate_from:
            self.entries = [each for each in self.entries if each.index < persist.truncate_from]
        if persist.snapshot is not None:
            index, _ = persist.snapshot
            if not self.entries or self.entries[-1].index < index:
                self.entries = []
                self.base = persist.snapshot
        for entry in persist.entries:
            self.entries = [each for each in self.entries if each.index < entry.index]
            self.entries.append(entry)


class Node:
    """One node: machine, disk, and the events that wait for it."""

    def __init__(self, network: Network, identifier: int, configuration: Configuration) -> None:
        self.network = network
        self.id = identifier
        self.disk = Disk()
        self.disk.configuration = configuration
        self.alive = False
        self.life = 0
        self.applied: list[Entry] = []
        self.received = 0
        self.synced_ticket = 0
        self.raft: Raft
        self.next_timer = 0
        self.start()

    def start(self) -> None:
        disk = self.disk
        self.alive = True
        self.life += 1
        self.received = 0
        self.synced_ticket = 0
        self.applied = list(disk.snapshot_data)
        configuration = disk.configuration
        self.raft = Raft(
            node=self.id,
            at=self.network.now,
            jitter=self.network.random.random,
            config=CONFIG,
            configuration=configuration,
            hard_state=disk.hard_state,
            base=disk.base,
            entries=disk.entries,
            snapshot=disk.snapshot,
        )
        self.step(TimerFired(self.network.now))

    def crash(self) -> None:
        self.alive = False
        self.life += 1

    def step(self, event: Event) -> Output:
        output = self.raft.step(event)
        self.network.absorb(self, output)
        return output

    def snapshot(self, keep: int = 0) -> None:
        if not self.applied:
            return
        last = self.applied[-1]
        configuration = max(
            (each for each in self.raft.core.configurations if each[0] <= last.index),
            key=lambda each: each[0],
        )[1]
        identity = SnapshotIdentity(
            last.index,
            last.term,
            len(self.applied),
            last.index,
            encode_configuration(configuration),
        )
        self.disk.snapshot = identity
        self.disk.snapshot_data = tuple(self.applied)
        self.disk.configuration = configuration
        keep_from = max(last.index - keep + 1, 1)
        self.step(SnapshotTaken(self.network.now, identity, keep_from))
        core = self.raft.core
        self.disk.entries = [each for each in self.disk.entries if each.index > core.log.base_index]
        self.disk.base = (core.log.base_index, core.log.base_term)


class Network:
    """The nodes, virtual time, and a queue of what is under way."""

    def __init__(self, seed: int, size: int = 3) -> None:
        self.random = random.Random(seed)
        self.now = 0
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self.loss = 0.0
        self.delay = 5 * MILLISECOND
        self.cut: set[tuple[int, int]] = set()
        self.safety = Safety()
        self.reads: dict[int, tuple[int, int]] = {}
        self.ready_reads: list[tuple[int, int, int]] = []
        self.placed: dict[int, tuple[int, int]] = {}
        configuration = bootstrap([member(node) for node in range(1, size + 1)])
        self.nodes: dict[int, Node] = {}
        for node in range(1, size + 1):
            self.nodes[node] = Node(self, node, configuration)

    def later(self, delay: int, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self.queue, (self.now + delay, self._order, action))

    def add(self, identifier: int) -> Node:
        self.nodes[identifier] = Node(self, identifier, Configuration())
        return self.nodes[identifier]

    def absorb(self, node: Node, output: Output) -> None:
        life = node.life
        for target, message in output.send:
            self.transmit(node.id, target, message)
        if output.persist is not None:
            self.later(
                self.random.randrange(1, 2 * MILLISECOND), lambda: self.sync(node, life, output)
            )
        for entry in output.committed:
            self.apply(node, entry)
        for ready in output.reads:
            self.ready_reads.append((node.id, ready.context, ready.index))
        for placed in output.placed:
            self.placed[placed.ticket] = (placed.index, placed.term)
        for load in output.loads:
            data = bytes(load.size) if node.disk.snapshot == load.snapshot else b""
            self.later(
                MILLISECOND,
                lambda load=load, data=data: self.deliver(  # type: ignore[misc]  # binds the loop's values
                    node,
                    life,
                    ChunkLoaded(self.now, load.node, load.snapshot, load.offset, data),
                ),
            )
        for store in output.stores:
            self.later(MILLISECOND, lambda store=store: self.store(node, life, store))  # type: ignore[misc]  # binds the loop's value
        node.next_timer = output.deadline
        self.later(
            max(output.deadline - self.now, 0),
            lambda: self.timer(node, life, output.deadline),
        )
        self.safety.observe(node.id, node.raft)

    def timer(self, node: Node, life: int, deadline: int) -> None:
        if node.next_timer == deadline:
            self.deliver(node, life, TimerFired(self.now))

    def sync(self, node: Node, life: int, output: Output) -> None:
        if node.life != life or output.persist is None:
            return
        # Writes reach the disk in the order of their tickets.
        if output.persist.ticket != node.synced_ticket + 1:
            self.later(MILLISECOND // 10, lambda: self.sync(node, life, output))
            return
        node.synced_ticket = output.persist.ticket
        node.disk.write(output.persist)
        for target, message in output.persist.messages:
            self.transmit(node.id, target, message)
        node.step(Persisted(self.now, output.persist.ticket))

    def store(self, node: Node, life: int, store: StoreChunk) -> None:
        if node.life != life:
            return
        if store.offset == node.received:
            node.received += len(store.data)
        snapshot = store.snapshot
        if node.received < snapshot.size:
            node.step(ChunkStored(self.now, store.sender, snapshot, node.received))
            return
        node.received = 0
        source = self.nodes[store.sender]
        if snapshot.index > node.raft.commit_index and source.disk.snapshot == snapshot:
            node.disk.snapshot = snapshot
            node.disk.snapshot_data = source.disk.snapshot_data
            node.applied = list(source.disk.snapshot_data)
            node.step(SnapshotInstalled(self.now, store.sender, snapshot))
            node.disk.configuration = node.raft.core.configurations[0][1]

    def transmit(self, source: int, target: int, message: object) -> None:
        if (source, target) in self.cut or self.random.random() < self.loss:
            return
        copies = 2 if self.random.random() < self.loss / 4 else 1
        for _ in range(copies):
            self.later(
                self.random.randrange(1, self.delay),
                lambda: self.arrive(source, target, message),
            )

    def arrive(self, source: int, target: int, message: object) -> None:
        node = self.nodes.get(target)
        if node is not None and node.alive and (source, target) not in self.cut:
            node.step(Receive(self.now, source, message))  # type: ignore[arg-type]  # any message

    def deliver(self, node: Node, life: int, event: Event) -> None:
        if node.life == life and node.alive:
            node.step(event)

    def apply(self, node: Node, entry: Entry) -> None:
        self.safety.apply(node.applied, entry)
        node.applied.append(entry)

    def run(self, duration: int) -> None:
        end = self.now + duration
        while self.queue and self.queue[0][0] <= end:
            self.now, _, action = heapq.heappop(self.queue)
            action()
        self.now = end

    def leader(self) -> Node | None:
        leaders = [
            node for node in self.nodes.values() if node.alive and node.raft.role is Role.LEADER
        ]
        return max(leaders, key=lambda node: node.raft.term, default=None)

    def run_until(self, condition: Callable[[], bool], limit: int = 5000) -> None:
        for _ in range(limit):
            if condition():
                return
            self.run(MILLISECOND)
        raise AssertionError("the condition was not reached in time")

    def elect(self) -> Node:
        self.run_until(lambda: (found := self.leader()) is not None and found.raft.ready)
        leader = self.leader()
        assert leader is not None
        return leader

    def propose(self, node: Node, ticket: int) -> None:
        node.step(Propose(self.now, ticket, b"%d" % ticket))

    def heal(self) -> None:
        self.loss = 0.0
        self.cut.clear()
        for node in self.nodes.values():
            if not node.alive:
                node.start()

    def values(self, node: Node) -> list[bytes]:
        return [entry.data for entry in node.applied if entry.kind is EntryKind.NORMAL]

"""The verbs that act on nodes: elections, proposals, reads, members, crashes, snapshots, time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from tests.protocol.raft.network import member
from tests.scenarios.words import (
    entries_words,
    message_words,
    progress_words,
    status_words,
)
from tests.scenarios.world import CONFIG, MILLISECOND, Node, World

from quorate.protocol.raft import Configuration, Entry, EntryKind, HardState, RaftConfig, bootstrap
from quorate.protocol.raft.configuration import (
    AddLearner,
    Change,
    Promote,
    Remove,
    UpdateAddress,
)
from quorate.protocol.raft.events import (
    Disconnected,
    Event,
    Propose,
    ProposeChange,
    Read,
    SnapshotTaken,
    Transfer,
)

Words = Sequence[str]


class ScenarioError(Exception):
    """A scenario says something that the language does not know, or expects what is not so."""


class Scene:
    """The world of one scenario, with the numbers that its commands use up."""

    def __init__(self) -> None:
        self.world = World(CONFIG)
        self.tickets = itertools.count(1)
        self.contexts = itertools.count(1)

    def node(self, word: str) -> Node:
        """Return the node that a word names."""
        found = self.world.nodes.get(int(word)) if word.isdigit() else None
        if found is None:
            raise ScenarioError(f"there is no node {word}")
        return found

    def running(self, word: str) -> Node:
        """Return the node that a word names; it must be up."""
        node = self.node(word)
        if not node.alive:
            raise ScenarioError(f"node {word} is down")
        return node

    def each(self, words: Words) -> list[Node]:
        """Return the nodes that the words name, or all that are up."""
        if words:
            return [self.running(word) for word in words]
        return [node for node in self.world.nodes.values() if node.alive]

    def propose(self, node: Node, data: bytes) -> None:
        """Propose data, under the next ticket."""
        self.world.step(node, Propose(node.clock, next(self.tickets), data))

    def change(self, word: str, change: Change) -> None:
        """Propose a change of members, under the next ticket."""
        node = self.running(word)
        self.world.step(node, ProposeChange(node.clock, next(self.tickets), change))


def nodes(scene: Scene, words: Words) -> None:
    """`nodes 3 [learners 1] [window N] [window-bytes N] [append N] [chunk N] [uncommitted N]`."""
    options = dict(zip(words[1::2], map(int, words[2::2]), strict=True))
    learners = options.pop("learners", 0)
    names = {
        "window": "window_messages",
        "window-bytes": "window_bytes",
        "append": "append_bytes_max",
        "chunk": "chunk_bytes",
        "uncommitted": "uncommitted_bytes_max",
    }
    settings = {names[name]: value for name, value in options.items()}
    scene.world.config = RaftConfig(
        heartbeat_ns=CONFIG.heartbeat_ns, election_ns=CONFIG.election_ns, **settings
    )
    count = int(words[0])
    voters = bootstrap(member(number) for number in range(1, count + 1))
    members = [member(number) for number in range(1, count + learners + 1)]
    configuration = Configuration(
        members=tuple(members),
        voters=voters.voters,
        learners=tuple(range(count + 1, count + learners + 1)),
    )
    for each in members:
        scene.world.start(scene.world.add(each.id, configuration))


def log_of(scene: Scene, words: Words) -> None:
    """`log-of N 1 1 4 4 [term T]`: the node starts anew from a log with entries of these terms."""
    node = scene.node(words[0])
    terms = [int(word) for word in words[1:] if word.isdigit()]
    term = max(terms, default=0)
    if "term" in words:
        term = terms.pop()
    node.disk.hard_state = HardState(term, 0, 0)
    node.disk.entries = [
        Entry(each, index, EntryKind.NORMAL, b"%d.%d" % (each, index))
        for index, each in enumerate(terms, 1)
    ]
    node.jobs.clear()
    scene.world.start(node)


def campaign(scene: Scene, words: Words) -> None:
    """`campaign N`: the node's clock moves to its election deadline."""
    node = scene.running(words[0])
    node.clock = max(node.clock, node.deadline)
    scene.world.fire(node)


def time(scene: Scene, words: Words) -> None:
    """`time MS [N...]`: clocks move, of all nodes or of some; what is due fires in order."""
    moved = scene.each(words[1:])
    ends = {node.number: node.clock + int(words[0]) * MILLISECOND for node in moved}
    while True:
        due = [node for node in moved if node.deadline <= ends[node.number]]
        if not due:
            break
        # The clocks started together or not; what counts is how far each still has to go.
        node = max(due, key=lambda each: (ends[each.number] - each.deadline, -each.number))
        node.clock = max(node.clock, node.deadline)
        scene.world.fire(node)
    for node in moved:
        node.clock = ends[node.number]


def propose(scene: Scene, words: Words) -> None:
    """`propose N TEXT...`: one proposal for each word."""
    node = scene.running(words[0])
    for word in words[1:]:
        scene.propose(node, word.encode())


def read(scene: Scene, words: Words) -> None:
    """`read N`: a linearizable read at the node."""
    node = scene.running(words[0])
    scene.world.step(node, Read(node.clock, next(scene.contexts)))


def transfer(scene: Scene, words: Words) -> None:
    """`transfer N [to M]`: the node is asked to hand leadership over."""
    node = scene.running(words[0])
    target = int(words[2]) if len(words) > 2 else 0
    scene.world.step(node, Transfer(node.clock, target))


def add_learner(scene: Scene, words: Words) -> None:
    """`add-learner N M`: node M starts empty, unless it is there, and N proposes it."""
    number = int(words[1])
    if number not in scene.world.nodes:
        scene.world.start(scene.world.add(number, Configuration()))
    scene.change(words[0], AddLearner(member(number)))


def promote(scene: Scene, words: Words) -> None:
    """`promote N M`: N proposes that the learner M votes."""
    scene.change(words[0], Promote(int(words[1])))


def remove(scene: Scene, words: Words) -> None:
    """`remove N M`: N proposes that M leaves."""
    scene.change(words[0], Remove(int(words[1])))


def move(scene: Scene, words: Words) -> None:
    """`move N M ADDRESS`: N proposes that M has a new address."""
    scene.change(words[0], UpdateAddress(int(words[1]), words[2]))


def disconnect(scene: Scene, words: Words) -> None:
    """`disconnect A [B...]`: A loses its connections, to all or to some, and both ends notice."""
    node = scene.node(words[0])
    for other in scene.each(words[1:]):
        if other is node:
            continue
        _lose(scene, node, other)
        _lose(scene, other, node)


def _lose(scene: Scene, node: Node, other: Node) -> None:
    if node.alive:
        event: Event = Disconnected(node.clock, other.number)
        scene.world.step(node, event)


def crash(scene: Scene, words: Words) -> None:
    """`crash N [keep]`: the node dies; what it had not synced is lost, or by luck kept."""
    scene.world.crash(scene.running(words[0]), unsynced_survives="keep" in words)


def restart(scene: Scene, words: Words) -> None:
    """`restart N`: the node starts from its disk."""
    node = scene.node(words[0])
    if node.alive:
        raise ScenarioError(f"node {words[0]} runs already")
    scene.world.start(node)


def snapshot(scene: Scene, words: Words) -> None:
    """`snapshot N [keep K]`: the machine is written to a file; the log keeps K entries."""
    node = scene.running(words[0])
    if not node.applied:
        raise ScenarioError(f"node {words[0]} has applied nothing")
    keep = int(words[2]) if len(words) > 2 else 0
    last = node.applied[-1].index
    core = node.raft.core
    configuration = [each for index, each in core.configurations if index <= last][-1]
    identity = node.disk.take_snapshot(node.applied, configuration)
    scene.world.step(node, SnapshotTaken(node.clock, identity, max(last - keep + 1, 1)))
    node.disk.release(core.log.base_index, core.log.base_term, core.configurations[0][1])


def status(scene: Scene, words: Words) -> None:
    """`status [N...]`: where each node stands."""
    for node in [scene.node(word) for word in words] or scene.world.nodes.values():
        words_of = status_words(node.raft) if node.alive else "is down"
        scene.world.trace.append(f"{node.number} {words_of}")


def progress(scene: Scene, words: Words) -> None:
    """`progress N`: what a leader knows of the others."""
    scene.world.trace.extend(progress_words(scene.running(words[0]).raft))


def log(scene: Scene, words: Words) -> None:
    """`log [N...]`: the entries of each node."""
    for node in scene.each(words):
        kept = node.raft.core.log
        entries = kept.between(kept.first_index, kept.last_index)
        scene.world.trace.append(f"{node.number} {entries_words(entries)}")


def disk(scene: Scene, words: Words) -> None:
    """`disk N`: what would survive a crash."""
    for word in words:
        kept = scene.node(word).disk
        state = kept.hard_state
        scene.world.trace.append(
            f"{word} term {state.term} vote {state.vote}, "
            f"after {kept.base[1]}/{kept.base[0]}: {entries_words(kept.entries)}"
        )


def network(scene: Scene, _: Words) -> None:
    """`network`: the messages under way."""
    for source, target, message in scene.world.letters:
        scene.world.trace.append(f"{source} -> {target} {message_words(message)}")


def expect(scene: Scene, words: Words) -> None:
    """`expect N role|term|leader|commit|applied|log|disk|durable|voters VALUE...`."""
    node = scene.node(words[0])
    found = _FACTS[words[1]](node)
    wanted = " ".join(words[2:])
    if found != wanted:
        raise ScenarioError(f"node {words[0]} has {words[1]} {found!r}, not {wanted!r}")


def _places(entries: Sequence[Entry]) -> str:
    return " ".join(f"{entry.term}/{entry.index}" for entry in entries)


_FACTS: dict[str, Callable[[Node], str]] = {
    "role": lambda node: node.raft.role.value,
    "term": lambda node: str(node.raft.term),
    "leader": lambda node: str(node.raft.leader),
    "commit": lambda node: str(node.raft.commit_index),
    "durable": lambda node: str(node.raft.core.durable),
    "voters": lambda node: " ".join(map(str, node.raft.configuration.voters)),
    "log": lambda node: _places(
        node.raft.core.log.between(node.raft.core.log.first_index, node.raft.core.log.last_index)
    ),
    "disk": lambda node: _places(node.disk.entries),
    "applied": lambda node: " ".join(
        entry.data.decode() for entry in node.applied if entry.kind is EntryKind.NORMAL
    ),
}

VERBS: dict[str, Callable[[Scene, Words], None]] = {
    "nodes": nodes,
    "log-of": log_of,
    "campaign": campaign,
    "time": time,
    "propose": propose,
    "read": read,
    "transfer": transfer,
    "add-learner": add_learner,
    "promote": promote,
    "remove": remove,
    "move": move,
    "disconnect": disconnect,
    "crash": crash,
    "restart": restart,
    "snapshot": snapshot,
    "status": status,
    "progress": progress,
    "log": log,
    "disk": disk,
    "network": network,
    "expect": expect,
}

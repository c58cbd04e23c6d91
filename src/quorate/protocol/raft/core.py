"""The state of one Raft node and the few moves that every handler makes.

Handlers (elections, replication, reads, membership, installation) are functions over a
`Core`; nothing else changes it. Invariants, checked after every step:
applied <= commit <= last index; the commit index, term and applied index never fall.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from quorate.protocol.raft.config import RaftConfig
from quorate.protocol.raft.configuration import Configuration, decode_configuration
from quorate.protocol.raft.log import Log
from quorate.protocol.raft.messages import (
    Entry,
    EntryKind,
    HardState,
    Message,
    SnapshotIdentity,
)
from quorate.protocol.raft.output import Output, Persist, Role, RoleChange
from quorate.protocol.raft.progress import Progress

NEVER = -(1 << 62)


class PendingRead:
    """A read that waits for a quorum round; `origin` is the node that asked (0: this one)."""

    __slots__ = ("context", "index", "origin", "round")

    def __init__(self, context: int, origin: int, round_: int, index: int) -> None:
        self.context = context
        self.origin = origin
        self.round = round_
        self.index = index


class Core:
    """Everything a node knows. Times are monotonic nanoseconds."""

    def __init__(  # noqa: PLR0913  what was recovered from disk arrives whole
        self,
        *,
        node: int,
        config: RaftConfig,
        jitter: Callable[[], float],
        hard_state: HardState,
        log: Log,
        configuration: Configuration,
        snapshot: SnapshotIdentity | None,
        at: int,
    ) -> None:
        self.node = node
        self.config = config
        self.jitter = jitter
        self.now = at
        self.term = hard_state.term
        self.vote = hard_state.vote
        self.log = log
        self.commit = max(log.base_index, min(hard_state.commit, log.last_index))
        # The machine starts from the snapshot, which may lie above the log's kept tail.
        self.delivered = log.base_index if snapshot is None else snapshot.index
        self.commit = max(self.commit, self.delivered)
        self.snapshot = snapshot
        self.configurations: list[tuple[int, Configuration]] = [(log.base_index, configuration)]
        self.note_configurations(log.between(log.first_index, log.last_index))

        self.role = Role.FOLLOWER
        self.leader = 0
        self.heard_leader_at = at
        self.election_deadline = at + self.draw_election_timeout()
        self.votes: dict[int, bool] = {}

        self.progress: dict[int, Progress] = {}
        self.heartbeat_deadline = 0
        self.quorum_deadline = 0
        self.tell_deadline = 0
        self.round = 0
        self.reads: deque[PendingRead] = deque()
        self.early_reads: list[tuple[int, int]] = []
        self.forwarded_reads: dict[int, None] = {}
        self.term_start = 0
        self.transfer_target = 0
        self.transfer_deadline = 0

        self.durable = log.last_index
        self._ticket = 0
        self.vote_ticket = 0
        self._unsynced: deque[tuple[int, int, int]] = deque()
        self._written_state = hard_state
        self._after: list[tuple[int, Message]] = []
        self._new_entries: list[Entry] = []
        self._truncated = 0
        self._installed: tuple[int, int] | None = None
        self._announced = (self.role, self.term, self.leader)
        self.output = Output()

    @property
    def configuration(self) -> Configuration:
        """The configuration in force: the last one appended."""
        return self.configurations[-1][1]

    @property
    def configuration_index(self) -> int:
        """The index of the entry that brought it."""
        return self.configurations[-1][0]

    @property
    def others(self) -> list[int]:
        """Every other member, in order."""
        return [node for node in self.configuration.identifiers if node != self.node]

    def draw_election_timeout(self) -> int:
        """Draw a fresh timeout from [election, 2 x election)."""
        return int(self.config.election_ns * (1.0 + self.jitter()))

    def send(self, node: int, message: Message) -> None:
        """Send a message that depends on nothing unsynced."""
        self.output.send.append((node, message))

    def send_after_sync(self, node: int, message: Message) -> None:
        """Send a message that vouches for the node's state: it waits for the disk."""
        self._after.append((node, message))

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries to the log; configurations take force at once."""
        self.log.append(entries)
        self._new_entries.extend(entries)
        if self.note_configurations(entries):
            self.output.configuration_changed = True

    def truncate_from(self, index: int) -> None:
        """Remove a divergent tail, and roll back the configurations in it."""
        assert index > self.commit, "a committed entry is never removed"
        self.log.truncate_from(index)
        if self._new_entries and self._new_entries[0].index >= index:
            self._new_entries.clear()
        else:
            self._new_entries = [entry for entry in self._new_entries if entry.index < index]
        self._truncated = min(self._truncated or index, index)
        self.durable = min(self.durable, index - 1)
        while self.configurations[-1][0] >= index:
            self.configurations.pop()
            self.output.configuration_changed = True

    def note_configurations(self, entries: Sequence[Entry]) -> bool:
        """Put the configurations among `entries` in force; tell whether there are any."""
        before = len(self.configurations)
        for entry in entries:
            if entry.kind is EntryKind.CONFIGURATION:
                self.configurations.append((entry.index, decode_configuration(entry.data)))
        return len(self.configurations) > before

    def install(self, snapshot: SnapshotIdentity) -> None:
        """Make a snapshot the base of the log, keeping a tail that agrees with it."""
        if self.log.term(snapshot.index) == snapshot.term:
            if snapshot.index > self.log.base_index:
                self.log.compact(snapshot.index)
        else:
            self.log = Log(snapshot.index, snapshot.term)
            self._new_entries.clear()
            # What the disk holds beyond the snapshot diverges from it.
            self._truncated = snapshot.index + 1
        self.durable = max(self.durable, snapshot.index)
        self.durable = min(self.durable, self.log.last_index)
        self.commit = max(self.commit, snapshot.index)
        self.delivered = max(self.delivered, snapshot.index)
        self.snapshot = snapshot
        base = (snapshot.index, decode_configuration(snapshot.configuration))
        later = [each for each in self.configurations if each[0] > snapshot.index]
        self.configurations = [base, *later] if self.log.last_index > snapshot.index else [base]
        self._installed = (snapshot.index, snapshot.term)
        self.output.configuration_changed = True

    def become_follower(self, term: int, leader: int) -> None:
        """Follow `leader` (0: nobody yet) in `term`, which may be new."""
        if term > self.term:
            self.term = term
            self.vote = 0
        was_leader = self.role is Role.LEADER
        self.role = Role.FOLLOWER
        self.votes = {}
        if was_leader or leader != self.leader:
            self.fail_reads()
        self.leader = leader
        if was_leader:
            self.progress = {}
            self.transfer_target = 0
        self.election_deadline = self.now + self.draw_election_timeout()

    def fail_reads(self) -> None:
        """Give every waiting read back: the leader that they asked is no more."""
        failed = [read.context for read in self.reads if read.origin == 0]
        failed += [context for context, origin in self.early_reads if origin == 0]
        failed += list(self.forwarded_reads)
        self.output.failed_reads.extend(failed)
        self.reads.clear()
        self.early_reads.clear()
        self.forwarded_reads.clear()

    def synced(self, ticket: int) -> None:
        """Note a finished append: what it wrote is durable, unless it was replaced since."""
        while self._unsynced and self._unsynced[0][0] <= ticket:
            _, index, term = self._unsynced.popleft()
            # A late completion may speak of entries that were replaced meanwhile.
            if self.log.term(index) == term:
                self.durable = max(self.durable, index)

    def finish(self) -> Output:
        """Close the step: what to persist, what was committed, the role and the deadline."""
        output = self.output
        self._collect_persist(output)
        if self.commit > self.delivered:
            output.committed = self.log.between(self.delivered + 1, self.commit)
            self.delivered = self.commit
        announced = (self.role, self.term, self.leader)
        if announced != self._announced:
            self._announced = announced
            output.role = RoleChange(*announced)
        output.deadline = self._deadline()
        assert self.log.base_index <= self.commit <= self.log.last_index
        self.output = Output()
        return output

    def _collect_persist(self, output: Output) -> None:
        written = self._written_state
        changed = self.term != written.term or self.vote != written.vote
        writes = changed or self._new_entries or self._truncated or self._installed
        if not writes:
            if not self._after:
                return
            if not self._unsynced:
                output.send.extend(self._after)
                self._after = []
                return
        state = HardState(self.term, self.vote, self.commit)
        self._ticket += 1
        output.persist = Persist(
            ticket=self._ticket,
            hard_state=state if writes else None,
            truncate_from=self._truncated,
            entries=self._new_entries,
            snapshot=self._installed,
            messages=self._after,
        )
        if changed:
            self.vote_ticket = self._ticket
        if writes:
            self._written_state = state
        self._unsynced.append((self._ticket, self.log.last_index, self.log.last_term))
        self._new_entries = []
        self._truncated = 0
        self._installed = None
        self._after = []

    def _deadline(self) -> int:
        if self.role is not Role.LEADER:
            return self.election_deadline
        deadline = min(self.heartbeat_deadline, self.quorum_deadline)
        if self.tell_deadline:
            deadline = min(deadline, self.tell_deadline)
        return min(deadline, self.transfer_deadline) if self.transfer_target else deadline

"""One Raft group on one node: feeds it events and carries out its outputs.

Everything runs on the event loop in plain calls; only the disk is elsewhere. Proposals and
reads that arrive in one turn of the loop share one log entry and one quorum round.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from quorate.protocol.raft import Entry, EntryKind, Message, Raft, Role
from quorate.protocol.raft.configuration import Change
from quorate.protocol.raft.events import (
    Disconnected,
    Event,
    Persisted,
    Propose,
    ProposeChange,
    Read,
    Receive,
    TimerFired,
    Transfer,
)
from quorate.protocol.raft.output import Output, Persist, RejectReason, RoleChange
from quorate.runtime.host.journal import Journal
from quorate.runtime.machine import Machine
from quorate.runtime.ports import Clock
from quorate.runtime.wal import GroupWrite

OUTSTANDING_MAX = 2
"""Entries on their way; what comes meanwhile gathers for the next one."""
APPLY_SLICE_NS = 5_000_000
NANOSECONDS = 1e-9


class Mailbox(Protocol):
    """Where a group leaves its messages for other nodes."""

    def post(self, node: int, group: int, message: Message) -> None:
        """Send soon; may be lost."""


class ProposalFailed(Exception):  # noqa: N818  a condition between host and service
    """A proposal came to nothing here. `placed`: it may still happen."""

    def __init__(self, reason: RejectReason, message: str, *, placed: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.placed = placed


class ReadAnswer(enum.Enum):
    """What became of a linearizable read's wait."""

    READY = enum.auto()
    """Read the machine now."""
    LOST = enum.auto()
    """Leadership changed: ask the new leader."""


Answer = Callable[[Any], None]
"""Called once, with an outcome or with a ProposalFailed."""


class Snapshots(Protocol):
    """What a group hands to its snapshot room."""

    def absorb(self, output: Output) -> None:
        """Load and store the chunks that a step asked for."""

    def applied(self, entry: Entry) -> None:
        """Consider whether it is time for a snapshot."""


class Group:
    """A Raft node, its machine, and those who wait for either."""

    def __init__(  # noqa: PLR0913  the ports of the world arrive one by one
        self,
        number: int,
        raft: Raft,
        machine: Machine,
        *,
        journal: Journal,
        mailbox: Mailbox,
        clock: Clock,
        applied_index: int,
    ) -> None:
        self.number = number
        self.raft = raft
        self.machine = machine
        self.applied_index = applied_index
        self.applied_term = 0
        self.snapshots: Snapshots | None = None
        self.on_role: Callable[[RoleChange], None] = lambda _: None
        self.on_applied: Callable[[], None] = lambda: None
        self.on_configuration: Callable[[], None] = lambda: None
        self.on_fatal: Callable[[BaseException], None] = _raise
        self._journal = journal
        self._mailbox = mailbox
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._next_ticket = 0
        self._waiting: dict[int, Sequence[Answer]] = {}
        self._placed: dict[int, tuple[int, Sequence[Answer]]] = {}
        self._gathered: list[tuple[Any, Answer]] = []
        self._gathered_reads: list[Callable[[ReadAnswer], None]] = []
        self._flush_scheduled = False
        self._contexts: dict[int, list[Callable[[ReadAnswer], None]]] = {}
        self._unapplied_reads: deque[tuple[int, list[Callable[[ReadAnswer], None]]]] = deque()
        self._to_apply: deque[Entry] = deque()
        self._apply_scheduled = False
        self._closed = False

    def start(self) -> None:
        """Take the first step, which sets the timer and applies what is known as committed."""
        self.step(TimerFired(self._clock.monotonic()))

    def close(self) -> None:
        """Stop: no timer, no answers."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    @property
    def now(self) -> int:
        """The time for events, in nanoseconds."""
        return self._clock.monotonic()

    def propose(self, submission: Any, answer: Answer) -> None:
        """Put a submission into the next entry; `answer` gets its outcome or ProposalFailed."""
        self._gathered.append((submission, answer))
        self._schedule_flush()

    def read(self, answer: Callable[[ReadAnswer], None]) -> None:
        """Tell `answer` once a linearizable read may run here, or that it can't."""
        self._gathered_reads.append(answer)
        self._schedule_flush()

    def change(self, change: Change, answer: Answer) -> None:
        """Propose a change of members."""
        ticket = self._ticket([answer])
        self.step(ProposeChange(self.now, ticket, change))

    def transfer(self, target: int) -> None:
        """Hand leadership over (0: to the most advanced voter)."""
        self.step(Transfer(self.now, target))

    def receive(self, sender: int, message: Message) -> None:
        """Take a message from another node."""
        self.step(Receive(self.now, sender, message))

    def disconnected(self, node: int) -> None:
        """Note that the connection to a node ended."""
        self.step(Disconnected(self.now, node))

    def step(self, event: Event) -> None:
        """Take one event and carry out what follows from it."""
        if self._closed:
            return
        try:
            self._absorb(self.raft.step(event))
        except Exception as error:  # noqa: BLE001  a broken invariant stops the node, loudly
            self.on_fatal(error)

    def _absorb(self, output: Output) -> None:
        for node, message in output.send:
            self._mailbox.post(node, self.number, message)
        if output.persist is not None:
            self._persist(output.persist)
        if output.placed or output.rejected:
            self._answer_proposals(output)
        if output.reads or output.failed_reads:
            self._answer_reads(output)
        if self.snapshots is not None:
            self.snapshots.absorb(output)
        if output.configuration_changed:
            self.on_configuration()
        if output.role is not None:
            self._role_changed(output.role)
        if output.committed:
            self._to_apply.extend(output.committed)
        if (self._to_apply or self._unapplied_reads) and not self._apply_scheduled:
            self._apply()
        self._set_timer(output.deadline)

    def _answer_proposals(self, output: Output) -> None:
        for placed in output.placed:
            self._placed[placed.index] = (placed.term, self._waiting.pop(placed.ticket, ()))
        for rejected in output.rejected:
            failure = ProposalFailed(rejected.reason, rejected.message, placed=False)
            for answer in self._waiting.pop(rejected.ticket, ()):
                answer(failure)

    def _answer_reads(self, output: Output) -> None:
        for context in output.failed_reads:
            for ready in self._contexts.pop(context, ()):
                ready(ReadAnswer.LOST)
        for read in output.reads:
            self._unapplied_reads.append((read.index, self._contexts.pop(read.context, [])))

    def _persist(self, persist: Persist) -> None:
        write = GroupWrite(
            group=self.number,
            hard_state=persist.hard_state,
            entries=persist.entries,
            truncate_from=persist.truncate_from,
            snapshot=persist.snapshot,
        )

        def done() -> None:
            for node, message in persist.messages:
                self._mailbox.post(node, self.number, message)
            self.step(Persisted(self.now, persist.ticket))

        self._journal.submit(write, done)

    def _role_changed(self, change: RoleChange) -> None:
        if change.role is not Role.LEADER:
            failure = ProposalFailed(
                RejectReason.NOT_LEADER, "leadership was lost meanwhile", placed=True
            )
            placed, self._placed = self._placed, {}
            for _, answers in placed.values():
                for answer in answers:
                    answer(failure)
            # What was gathered for the next entry hears of it too.
            self._schedule_flush()
        self.on_role(change)

    def _apply(self) -> None:
        """Apply what is committed, in slices, so that heartbeats are never kept waiting."""
        self._apply_scheduled = False
        if self._closed:
            return
        until = self.now + APPLY_SLICE_NS
        while self._to_apply:
            self._apply_entry(self._to_apply.popleft())
            if self._to_apply and self.now > until:
                self._apply_scheduled = True
                self._loop.call_soon(self._apply)
                break
        while self._unapplied_reads and self._unapplied_reads[0][0] <= self.applied_index:
            for ready in self._unapplied_reads.popleft()[1]:
                ready(ReadAnswer.READY)
        self.on_applied()
        if self._gathered:
            self._schedule_flush()

    def _apply_entry(self, entry: Entry) -> None:
        outcomes: Sequence[Any] = (None,)
        if entry.kind is EntryKind.NORMAL:
            try:
                outcomes = self.machine.apply(entry.index, entry.data)
            except Exception as error:  # noqa: BLE001  a machine that fails must not go on
                self.on_fatal(error)
                return
        self.applied_index = entry.index
        self.applied_term = entry.term
        waiting = self._placed.pop(entry.index, None)
        if waiting is not None:
            self._answer(entry, waiting, outcomes)
        if self.snapshots is not None:
            self.snapshots.applied(entry)

    def _answer(
        self, entry: Entry, waiting: tuple[int, Sequence[Answer]], outcomes: Sequence[Any]
    ) -> None:
        term, answers = waiting
        if term == entry.term:
            for answer, outcome in zip(answers, outcomes, strict=True):
                answer(outcome)
            return
        failure = ProposalFailed(
            RejectReason.NOT_LEADER, "another leader's entry won", placed=False
        )
        for answer in answers:
            answer(failure)

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._gathered_reads:
            answers, self._gathered_reads = self._gathered_reads, []
            self._next_ticket += 1
            self._contexts[self._next_ticket] = answers
            self.step(Read(self.now, self._next_ticket))
        if self._gathered and len(self._placed) < OUTSTANDING_MAX:
            gathered, self._gathered = self._gathered, []
            data = self.machine.pack(
                [submission for submission, _ in gathered], self._clock.wall() // 1_000_000
            )
            ticket = self._ticket([answer for _, answer in gathered])
            self.step(Propose(self.now, ticket, data))

    def _ticket(self, answers: Sequence[Answer]) -> int:
        self._next_ticket += 1
        self._waiting[self._next_ticket] = answers
        return self._next_ticket

    def _set_timer(self, deadline: int) -> None:
        # A deadline that only moves away needs no new timer: the old one finds it out.
        if self._timer is not None:
            if deadline >= self._timer_at:
                return
            self._timer.cancel()
        self._arm(deadline)

    def _arm(self, deadline: int) -> None:
        self._timer_at = deadline
        delay = max((deadline - self.now) * NANOSECONDS, 0.0005)
        self._timer = self._loop.call_later(delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self.step(TimerFired(self.now))


def _raise(error: BaseException) -> None:
    raise error

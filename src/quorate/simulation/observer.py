"""Looks over the shoulder of every node: Raft's invariants after each step, and the truth.

The invariants are those of the Raft paper, figure 3, and what the thesis adds about changing
members. The truth is the sequence of changes as the first node to apply each entry made it;
every other node must make the same of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

from quorate.kv.commands import encode_outcomes
from quorate.kv.machine import KeyValueMachine
from quorate.protocol.raft import Configuration, Entry, Raft, Role
from quorate.protocol.raft.events import Event, Persisted
from quorate.protocol.raft.messages import AppendReply, CampaignKind, VoteReply
from quorate.protocol.raft.output import Output
from quorate.runtime.host import Group
from quorate.simulation.evidence import Change, Evidence
from quorate.simulation.scheduler import Scheduler


class Observer:
    """What all nodes of a world have in common, and whether they keep it so."""

    def __init__(self, scheduler: Scheduler, evidence: Evidence) -> None:
        self._scheduler = scheduler
        self.evidence = evidence
        self.leaders: dict[int, str] = {}
        self.elections = 0
        self.last_election = 0
        self._entries: dict[tuple[int, int], tuple[int, int]] = {}
        self._decided: dict[int, tuple[int, int]] = {}
        self._decided_in: dict[int, int] = {}
        self._chains: dict[int, tuple[str, int]] = {0: ("", 0)}
        self._revision = 1
        self.machines: dict[str, KeyValueMachine] = {}

    def attach(self, name: str, group: Group, machine: KeyValueMachine) -> None:
        """Observe a node from its first step on."""
        watched = _Watched(self, name, group)
        group.raft.step = watched.step  # type: ignore[method-assign]  # the simulator looks in
        replica = group.machine
        apply = replica.apply
        self.machines[name] = machine

        def applied(index: int, data: bytes) -> Sequence[Any]:
            before = machine.revision
            outcomes = apply(index, data)
            self._applied(name, index, machine, before, outcomes)
            return outcomes

        replica.apply = applied  # type: ignore[method-assign]  # the simulator looks in

    def fail(self, checker: str, text: str) -> None:
        """Note a violation."""
        self.evidence.violation(checker, text)

    def _applied(
        self,
        name: str,
        index: int,
        machine: KeyValueMachine,
        before: int,
        outcomes: Sequence[Any],
    ) -> None:
        changes = machine.history.changes(before + 1, 1 << 30) if machine.revision > before else []
        told = b"".join(encode_outcomes(each) for each in outcomes)
        mark = crc32(told, machine.revision)
        for kv in changes:
            mark = crc32(kv.key, crc32(kv.value, mark ^ kv.mod_revision))
        known = self._chains.get(index)
        if known is None:
            self._chains[index] = (name, mark)
            if machine.revision > self._revision:
                self._revision = machine.revision
                now = self._scheduler.now
                self.evidence.changes.extend(Change(kv.mod_revision, now, kv) for kv in changes)
        elif known[1] != mark:
            self.fail(
                "replicas agree",
                f"{name} made something else of entry {index} than {known[0]} did",
            )

    def appended(self, name: str, entry: Entry, previous_term: int) -> None:
        """Log matching: an index and a term name one entry, with one log before it."""
        mark = (crc32(entry.data, entry.kind), previous_term)
        known = self._entries.setdefault((entry.index, entry.term), mark)
        if known != mark:
            self.fail(
                "log matching",
                f"{name} has another entry {entry.index} of term {entry.term}, "
                "or another log before it",
            )

    def committed(self, name: str, entry: Entry, term: int) -> None:
        """State machine safety: one entry per index, everywhere and for ever."""
        mark = (entry.term, crc32(entry.data, entry.kind))
        known = self._decided.setdefault(entry.index, mark)
        if known != mark:
            self.fail(
                "state machine safety",
                f"{name} committed another entry {entry.index} (term {entry.term}) "
                f"than was committed before (term {known[0]})",
            )
        # The term of its own that a node commits in is at least the one it was decided in.
        self._decided_in[term] = max(self._decided_in.get(term, 0), entry.index)

    def leads(self, name: str, raft: Raft) -> None:
        """Election safety and leader completeness, at the moment of election."""
        self.elections += 1
        self.last_election = self._scheduler.now
        other = self.leaders.setdefault(raft.term, name)
        if other != name:
            self.fail("election safety", f"{other} and {name} both lead term {raft.term}")
        log = raft.core.log
        last = max((each for term, each in self._decided_in.items() if term < raft.term), default=0)
        if last > log.base_index:
            term = log.term(last)
            if term != self._decided[last][0]:
                self.fail(
                    "leader completeness",
                    f"{name} leads term {raft.term} without the committed entry {last}",
                )


class _Watched:
    """One node's Raft, seen from outside."""

    def __init__(self, observer: Observer, name: str, group: Group) -> None:
        self._observer = observer
        self._name = name
        self._raft = group.raft
        self._step = group.raft.step
        core = self._raft.core
        self._applied = group.applied_index
        self._term = core.term
        self._commit = core.commit
        self._vote = (core.term, core.vote)
        self._leading = 0
        self._leading_last = 0
        # What was recovered is on disk; what a ticket adds is once it is reported so.
        self._synced_last = core.log.last_index
        self._synced_vote = (core.term, core.vote)
        self._tickets: dict[int, tuple[int, tuple[int, int]]] = {}

    def step(self, event: Event) -> Output:
        if type(event) is Persisted:
            self._persisted(event.ticket)
        output = self._step(event)
        self._check(output)
        return output

    def _persisted(self, ticket: int) -> None:
        found = self._tickets.pop(ticket, None)
        if found is not None:
            self._synced_last, self._synced_vote = found

    def _check(self, output: Output) -> None:
        observer, name, core = self._observer, self._name, self._raft.core
        persist = output.persist
        if persist is not None:
            if persist.truncate_from:
                # What was under way to the disk no longer speaks of what is cut here.
                kept = persist.truncate_from - 1
                self._synced_last = min(self._synced_last, kept)
                for ticket, (last, vote) in self._tickets.items():
                    self._tickets[ticket] = (min(last, kept), vote)
            self._tickets[persist.ticket] = (core.log.last_index, (core.term, core.vote))
            for entry in persist.entries:
                observer.appended(name, entry, core.log.term(entry.index - 1) or 0)
        for entry in output.committed:
            observer.committed(name, entry, core.term)
        if core.term < self._term or core.commit < self._commit:
            observer.fail("monotonic state", f"{name}: term or commit index fell")
        self._term, self._commit = core.term, core.commit
        self._check_sent(output)
        if core.role is Role.LEADER:
            self._check_leader(output)
        else:
            self._leading = 0
        if output.configuration_changed:
            self._check_configurations()

    def _check_sent(self, output: Output) -> None:
        """What vouches for the disk must not leave before the disk has it."""
        for node, message in output.send:
            if type(message) is AppendReply and message.match > self._synced_last:
                self._observer.fail(
                    "durable before told",
                    f"{self._name} told {node:x} of entry {message.match}, "
                    f"its disk holds {self._synced_last}",
                )
            elif (
                type(message) is VoteReply
                and message.granted
                and message.kind is not CampaignKind.PRE_VOTE
                and self._synced_vote != (message.term, node)
            ):
                self._observer.fail(
                    "durable before told",
                    f"{self._name} voted for {node:x} in term {message.term} before that "
                    "was on its disk",
                )

    def _check_leader(self, output: Output) -> None:
        core = self._raft.core
        if self._leading != core.term:
            self._leading, self._leading_last = core.term, 0
            self._observer.leads(self._name, self._raft)
        truncates = output.persist is not None and output.persist.truncate_from
        if core.log.last_index < self._leading_last or truncates:
            self._observer.fail(
                "leader append-only", f"{self._name} leads term {core.term} and cut its log"
            )
        self._leading_last = core.log.last_index

    def _check_configurations(self) -> None:
        core = self._raft.core
        configurations = core.configurations
        for (_, before), (index, after) in pairwise(configurations):
            if before.members and not _may_follow(before, after):
                self._observer.fail(
                    "configuration safety",
                    f"{self._name}: the configuration at entry {index} does not follow safely",
                )
        pending = [index for index, _ in configurations if index > core.commit]
        if core.role is Role.LEADER and len(pending) > 1:
            self._observer.fail(
                "configuration safety", f"{self._name} has two changes of members under way"
            )


def _may_follow(before: Configuration, after: Configuration) -> bool:
    """Whether every quorum of one meets every quorum of the other."""
    if before.voters == after.voters and before.outgoing == after.outgoing:
        return True
    if after.joint:
        return not before.joint and after.outgoing == before.voters
    return before.joint and after.voters == before.voters

"""One life of one node's Raft, seen from outside after every step."""

from __future__ import annotations

from itertools import pairwise

from quorate.protocol.raft import Configuration, Role
from quorate.protocol.raft.events import Event, Persisted, Read, Receive, TimerFired
from quorate.protocol.raft.messages import (
    AppendRejected,
    AppendReply,
    CampaignKind,
    HeartbeatReply,
    VoteReply,
    VoteRequest,
)
from quorate.protocol.raft.output import Output, Persist
from quorate.runtime.host import Group
from quorate.simulation.agreement import Agreement
from quorate.simulation.disks import lacking, without_majority

_ROUNDED = (AppendReply, AppendRejected, HeartbeatReply)
SILENCE_TIMEOUTS = 4
"""Election timeouts after which a leader that hears no majority must have stepped down."""


class Watched:
    """Takes the place of `raft.step`, and looks at what each step did."""

    def __init__(self, agreement: Agreement, name: str, group: Group, *, damaged: bool) -> None:
        self._agreement = agreement
        self._name = name
        self._group = group
        self._raft = group.raft
        self._step = group.raft.step
        core = self._core = self._raft.core
        self._applied = group.applied_index
        self._term = core.term
        self._commit = core.commit
        self._leading = 0
        self._leading_last = 0
        self._led_since = 0
        self._configured_at = core.now
        self._configuration = core.configuration
        self._heard: dict[int, int] = {}
        self._asked: dict[int, tuple[int, int]] = {}
        """For each read: what was committed anywhere when it was asked for, and the last round
        that had begun by then (-1: a follower asks its leader)."""
        self._rounds: dict[int, int] = {}
        """The last round of this term that each other member has answered."""
        self._disk = agreement.disk(core.node)
        for finding in self._disk.recovered(core):
            if not damaged:
                agreement.fail("nothing synced is lost", f"{name} starts, and {finding}")
        if not damaged:
            before = core.log.base_term
            for entry in core.log.between(core.log.first_index, core.log.last_index):
                agreement.appended(name, entry, before)
                before = entry.term
        self._note_vote()

    def step(self, event: Event) -> Output:
        """Let the node take an event, then check."""
        if not self._disk.belongs_to(self._core):
            # What is taken apart after its death does no harm any more.
            return self._step(event)
        if type(event) is Receive:
            self._receives(event)
        elif type(event) is Persisted:
            self._disk.reported(event.ticket)
            self._note_vote()
        elif type(event) is Read:
            core = self._core
            leads = core.role is Role.LEADER
            self._asked[event.context] = (self._agreement.newest, core.round if leads else -1)
        before = (self._core.term, self._core.vote)
        output = self._step(event)
        self._check(output)
        if type(event) is Receive and type(event.message) is VoteRequest:
            self._check_vote(event.sender, event.message, before)
        if type(event) is TimerFired and self._core.role is Role.LEADER:
            self._check_heard(event.at)
        return output

    def _receives(self, event: Receive) -> None:
        message = event.message
        self._heard[event.sender] = event.at
        if isinstance(message, _ROUNDED) and message.term == self._core.term:
            before = self._rounds.get(event.sender, 0)
            self._rounds[event.sender] = max(before, message.round)

    def _note_vote(self) -> None:
        term, vote = self._disk.vote
        if vote:
            self._agreement.voted(self._name, self._core.node, term, vote)

    def _check(self, output: Output) -> None:
        core = self._core
        leads = core.role is Role.LEADER
        led = leads or bool(self._leading)
        if output.persist is not None:
            self._note_asked(output.persist)
        self._check_progress()
        if leads:
            self._check_leader(output)
        else:
            self._leading = 0
        for entry in output.committed:
            self._agreement.committed(self._name, entry, core.term, leads=led)
        self._term, self._commit = core.term, core.commit
        if output.send:
            self._check_sent(output)
        if output.reads or output.failed_reads:
            self._check_reads(output)
        if output.configuration_changed or (output.persist and output.persist.truncate_from):
            self._check_configurations()
        if self._configuration is not core.configuration:
            self._configuration, self._configured_at = core.configuration, core.now

    def _note_asked(self, persist: Persist) -> None:
        log = self._core.log
        self._disk.asked(self._core, persist)
        for entry in persist.entries:
            self._agreement.appended(self._name, entry, log.term(entry.index - 1) or 0)

    def _check_progress(self) -> None:
        """Nothing goes back, and nothing is taken for durable before it is."""
        agreement, name, core = self._agreement, self._name, self._core
        if core.durable > self._disk.last:
            agreement.fail(
                "durable before told",
                f"{name} takes entry {core.durable} for durable, its disk holds {self._disk.last}",
            )
        if core.term < self._term or core.commit < self._commit:
            agreement.fail("monotonic state", f"{name}: term or commit index fell")
        applied = self._group.applied_index
        if applied < self._applied:
            agreement.fail("monotonic state", f"{name}: its machine went back")
        self._applied = applied

    def _check_sent(self, output: Output) -> None:
        """What vouches for the disk must not leave before the disk has it."""
        for node, message in output.send:
            if type(message) is AppendReply and message.match > self._disk.last:
                self._agreement.fail(
                    "durable before told",
                    f"{self._name} told {node:x} of entry {message.match}, "
                    f"its disk holds {self._disk.last}",
                )
            elif (
                type(message) is VoteReply
                and message.granted
                and message.kind is not CampaignKind.PRE_VOTE
                and self._disk.vote != (message.term, node)
            ):
                self._agreement.fail(
                    "durable before told",
                    f"{self._name} voted for {node:x} in term {message.term} before that "
                    "was on its disk",
                )

    def _check_vote(self, candidate: int, request: VoteRequest, before: tuple[int, int]) -> None:
        """Nobody votes for a log that lacks what its own has (Raft paper 5.4.1)."""
        core = self._core
        own = (core.log.last_term, core.log.last_index)
        vote = (core.term, core.vote)
        granted = vote == (request.term, candidate) and vote != before
        if granted and (request.last_term, request.last_index) < own:
            self._agreement.fail(
                "complete logs lead",
                f"{self._name} voted for {candidate:x} in term {core.term}, whose log ends "
                f"with term {request.last_term} at {request.last_index}; its own ends with {own}",
            )

    def _check_leader(self, output: Output) -> None:
        core = self._core
        elected = self._leading != core.term
        if elected:
            self._leading, self._leading_last, self._led_since = core.term, 0, core.now
            self._rounds = {}
            self._agreement.leads(self._name, self._raft)
        truncates = output.persist is not None and output.persist.truncate_from
        if core.log.last_index < self._leading_last or truncates:
            self._agreement.fail(
                "leader append-only", f"{self._name} leads term {core.term} and cut its log"
            )
        self._leading_last = core.log.last_index
        if core.commit > self._commit:
            # What a step commits, it commits by the configuration that it found.
            in_force = core.configuration if elected else self._configuration
            self._agreement.decides(self._name, self._raft, in_force)

    def _check_reads(self, output: Output) -> None:
        """A read sees all that was committed anywhere before it was asked for (thesis 6.4)."""
        for read in output.reads:
            newest, begun = self._asked.pop(read.context, (0, -1))
            if read.index < newest:
                self._agreement.fail(
                    "fresh reads",
                    f"{self._name} answers a read as of entry {read.index}; when it was asked, "
                    f"entry {newest} was committed",
                )
            if begun >= 0:
                self._check_confirmed(begun)
        for context in output.failed_reads:
            self._asked.pop(context, None)

    def _check_confirmed(self, begun: int) -> None:
        """A majority has answered a round that began after the read was asked for."""
        core = self._core
        answered = [node for node, last in self._rounds.items() if last > begun]
        missing = without_majority(core.configuration, frozenset((*answered, core.node)))
        if missing:
            self._agreement.fail(
                "fresh reads",
                f"{self._name} answers a read after round {begun}, which {missing} confirmed",
            )

    def _check_heard(self, now: int) -> None:
        """A leader that hears no majority must not go on leading (thesis 6.2)."""
        core = self._core
        since = now - SILENCE_TIMEOUTS * core.config.election_ns
        if max(self._led_since, self._configured_at) >= since:
            return
        heard = [node for node, at in self._heard.items() if at >= since]
        missing = without_majority(core.configuration, frozenset((*heard, core.node)))
        if missing:
            self._agreement.fail(
                "check quorum", f"{self._name} still leads term {core.term}, and hears {missing}"
            )

    def _check_configurations(self) -> None:
        core = self._core
        for finding in lacking(core):
            self._agreement.fail("configuration safety", f"{self._name}: {finding}")
        configurations = core.configurations
        for (_, before), (index, after) in pairwise(configurations):
            if before.members and not _may_follow(before, after):
                self._agreement.fail(
                    "configuration safety",
                    f"{self._name}: the configuration at entry {index} does not follow safely",
                )
        pending = [index for index, _ in configurations if index > core.commit]
        if core.role is Role.LEADER and len(pending) > 1:
            self._agreement.fail(
                "configuration safety", f"{self._name} has two changes of members under way"
            )


def _may_follow(before: Configuration, after: Configuration) -> bool:
    """Whether every quorum of one meets every quorum of the other."""
    if before.voters == after.voters and before.outgoing == after.outgoing:
        return True
    if after.joint:
        return not before.joint and after.outgoing == before.voters
    return before.joint and after.voters == before.voters

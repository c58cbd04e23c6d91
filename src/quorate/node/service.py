"""What a node does for its clients: one dispatch by request, no task per request.

A write goes into the next log entry, a linearizable read into the next quorum round; the
answer of either is sent from the callback. Only the leader serves them, the others say who
leads. Law: no request, however wrong or large, may stop the node: callbacks run inside its
consensus, where any error would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from quorate.errors import Compacted, InvalidRequest, LimitExceeded
from quorate.kv.commands import Envelope, Outcome, Refusal, RefusalCode, encode_outcomes
from quorate.kv.entries import remembered
from quorate.kv.machine import KeyValueMachine
from quorate.kv.reads import result_bytes
from quorate.kv.requests import (
    AskLeases,
    AskMembers,
    AskStatus,
    ChangeMembers,
    CloseWatch,
    Done,
    Failed,
    KeepAlive,
    KeptAlive,
    LeaseAnswer,
    LeaseList,
    Members,
    MemberStatus,
    OpenWatch,
    ReadAll,
    ReadDone,
    SaveSnapshot,
    SnapshotStart,
    Status,
    TimeToLive,
    TransferLeadership,
    WatchOpened,
    Write,
    Written,
    decode_request,
    encode,
)
from quorate.kv.watches import WatchHub
from quorate.node.backup import Backups
from quorate.node.changes import read_change
from quorate.node.leadership import Leadership
from quorate.node.subscribers import Subscribers
from quorate.protocol.raft import Configuration, Role
from quorate.protocol.raft.configuration import encode_configuration
from quorate.protocol.raft.output import RejectReason
from quorate.runtime.host import Group, ProposalFailed, ReadAnswer
from quorate.runtime.transport.connection import Connection
from quorate.store.types import (
    KeyValue,
    LeaseStatus,
    RangeResult,
    ReadConsistency,
)

ANONYMOUS: Final = "anonymous"
"""The principal of every client, as long as there are no users."""

CHANGE_RETRY_SECONDS: Final = 0.05
HAND_OVER_RETRY_SECONDS: Final = 0.01
ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
BODY_BYTES_MAX: Final = 16 * 1024 * 1024
READS_PER_LOOK: Final = 64
"""Reads between two looks at how large their answer has become."""

Answer: TypeAlias = (
    ReadDone
    | KeptAlive
    | LeaseAnswer
    | LeaseList
    | WatchOpened
    | Members
    | Done
    | Status
    | SnapshotStart
    | Failed
)
ReadResult: TypeAlias = KeyValue | RangeResult | Refusal | None


class Service:
    """The key-value service of one group on one node."""

    def __init__(
        self,
        group: Group,
        machine: KeyValueMachine,
        hub: WatchHub,
        leadership: Leadership,
        status: Callable[[int], Status],
        *,
        refuses_writes: Callable[[], bool] = lambda: False,
    ) -> None:
        self._group = group
        self._machine = machine
        self._hub = hub
        self._leadership = leadership
        self._status = status
        self._refuses_writes = refuses_writes
        self._subscribers = Subscribers(hub, self._fail)
        self._backups = Backups()
        self._handlers: dict[type, Callable[[Connection, Any], None]] = {
            Write: self._write,
            ReadAll: self._read,
            KeepAlive: self._keep_alive,
            TimeToLive: self._time_to_live,
            OpenWatch: self._open_watch,
            CloseWatch: self._close_watch,
            AskMembers: self._members,
            ChangeMembers: self._change_members,
            TransferLeadership: self._transfer,
            AskStatus: self._answer_status,
            SaveSnapshot: self._save_snapshot,
            AskLeases: self._leases,
        }

    def opened(self, connection: Connection) -> None:
        """A client connected."""
        self._subscribers.add(connection)

    def lost(self, connection: Connection) -> None:
        """A client is gone, and its watches and its backup with it."""
        self._backups.end(connection)
        self._subscribers.remove(connection)

    def received(self, connection: Connection, frames: list[bytes]) -> None:
        """Serve what came in one turn of the loop."""
        for frame in frames:
            try:
                request = decode_request(frame)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                connection.close("a request that is none of ours")
                return
            self._handlers[type(request)](connection, request)

    def deliver_events(self) -> None:
        """Send the watch events that the last entries brought, to whoever can take them."""
        self._subscribers.deliver()

    def stepped_down(self) -> None:
        """Send every client to the next leader, those too that only wait for events."""
        for connection in self._subscribers:
            self._fail(connection, 0, RefusalCode.NOT_LEADER, "this node leads no longer")

    def leader_found(self) -> None:
        """Tell every client that waits for it who leads now."""
        for connection in self._subscribers:
            self._fail(connection, 0, RefusalCode.NOT_LEADER, "there is a leader")

    def close(self) -> None:
        """Stop the timer."""
        self._subscribers.close()

    def writable_again(self, connection: Connection) -> None:
        """A client that was slow can take more of its backup, and more events."""
        self._backups.go_on(connection)
        self._subscribers.deliver_to(connection)

    @property
    def leader_address(self) -> str:
        """Where the leader is, empty while nobody knows."""
        member = self._group.raft.configuration.member(self._group.raft.leader)
        return member.address if member else ""

    def _send(self, connection: Connection, response: Answer) -> None:
        try:
            connection.send(encode(response))
        except LimitExceeded as error:
            message = f"the answer is too large, ask for less: {error}"
            self._fail(connection, response.id, RefusalCode.LIMIT_EXCEEDED, message)

    def _fail(self, connection: Connection, request: int, code: RefusalCode, message: str) -> None:
        self._send(connection, Failed(request, Refusal(code, message), self.leader_address))

    def _leads(self, connection: Connection, request: int) -> bool:
        if self._group.raft.role is Role.LEADER:
            return True
        self._fail(connection, request, RefusalCode.NOT_LEADER, "this node does not lead")
        return False

    def _write(self, connection: Connection, request: Write) -> None:
        if not self._leads(connection, request.id):
            return
        if self._refuses_writes():
            message = "the leader's disk is full, and no other node can lead: make room on it"
            self._fail(connection, request.id, RefusalCode.STORAGE, message)
            return
        if request.session and request.birth > self._group.raft.core.log.last_index + 1:
            # Expired sessions are told from new ones by their birth: one from the future would
            # lock out everybody's.
            message = f"the session's birth {request.birth} lies in the future"
            self._fail(connection, request.id, RefusalCode.INVALID_REQUEST, message)
            return
        if len(request.body) > BODY_BYTES_MAX:
            message = f"{len(request.body)} bytes of commands, the limit is {BODY_BYTES_MAX}"
            self._fail(connection, request.id, RefusalCode.LIMIT_EXCEEDED, message)
            return
        envelope = Envelope(
            ANONYMOUS,
            0,
            request.session,
            request.birth,
            request.sequence,
            request.acked_upto,
            request.body,
        )

        def answer(outcome: list[Outcome] | ProposalFailed) -> None:
            if isinstance(outcome, ProposalFailed):
                if outcome.reason is RejectReason.TRANSFERRING and connection.is_open:
                    # Nobody else leads yet: the client would only come back at once.
                    asyncio.get_running_loop().call_later(
                        HAND_OVER_RETRY_SECONDS, self._write, connection, request
                    )
                    return
                self._proposal_failed(connection, request.id, request.session, outcome)
            else:
                encoded = encode_outcomes(outcome)
                if len(encoded) > ANSWER_BYTES_MAX:
                    # It is done, so that must be said; what was read besides is left out.
                    encoded = remembered(outcome, self._machine.limits.outcome_bytes_kept)
                connection.send(encode(Written(request.id, encoded)))

        self._group.propose(envelope, answer)

    def _proposal_failed(
        self, connection: Connection, request: int, session: int, failure: ProposalFailed
    ) -> None:
        if failure.placed and not session:
            code, message = RefusalCode.OUTCOME_UNKNOWN, f"{failure}: it may have happened"
        elif failure.reason is RejectReason.OVERLOADED:
            code, message = RefusalCode.UNAVAILABLE, str(failure)
        else:
            code, message = RefusalCode.NOT_LEADER, str(failure)
        self._fail(connection, request, code, message)

    def _read(self, connection: Connection, request: ReadAll) -> None:
        if request.consistency is ReadConsistency.STALE:
            self._answer_read(connection, request)
            return

        def ready(outcome: ReadAnswer) -> None:
            if outcome is ReadAnswer.READY:
                self._answer_read(connection, request)
            else:
                self._fail(connection, request.id, RefusalCode.NOT_LEADER, "leadership changed")

        if self._leads(connection, request.id):
            self._group.read(ready)

    def _answer_read(self, connection: Connection, request: ReadAll) -> None:
        results: list[ReadResult] = []
        size = 0
        for start in range(0, len(request.operations), READS_PER_LOOK):
            part = self._machine.read(request.operations[start : start + READS_PER_LOOK])
            results += part
            size += sum(map(_result_bytes, part))
            if size > ANSWER_BYTES_MAX:
                message = f"the results are over {ANSWER_BYTES_MAX} bytes: read less at once"
                self._fail(connection, request.id, RefusalCode.LIMIT_EXCEEDED, message)
                return
        self._send(connection, ReadDone(request.id, tuple(results)))

    def _keep_alive(self, connection: Connection, request: KeepAlive) -> None:
        """Renew, but answer only after a quorum round that began after the request came.

        A deposed leader, which gets no such round, can't prolong a lease.
        """
        if not self._leads(connection, request.id):
            return

        def ready(outcome: ReadAnswer) -> None:
            if outcome is ReadAnswer.LOST:
                self._fail(connection, request.id, RefusalCode.NOT_LEADER, "leadership changed")
                return
            self._leadership.renew(
                request.leases,
                lambda ttls: self._send(connection, KeptAlive(request.id, tuple(ttls))),
                lambda failure: self._proposal_failed(connection, request.id, 1, failure),
            )

        self._group.read(ready)

    def _time_to_live(self, connection: Connection, request: TimeToLive) -> None:
        if not self._leads(connection, request.id):
            return

        def ready(outcome: ReadAnswer) -> None:
            if outcome is ReadAnswer.LOST:
                self._fail(connection, request.id, RefusalCode.NOT_LEADER, "leadership changed")
                return
            found: LeaseStatus | None = self._leadership.status(request.lease)
            if found is None:
                message = f"lease {request.lease:x} ended, or never was"
                self._fail(connection, request.id, RefusalCode.LEASE_NOT_FOUND, message)
            else:
                self._send(connection, LeaseAnswer(request.id, found))

        self._group.read(ready)

    def _leases(self, connection: Connection, request: AskLeases) -> None:
        def ready(outcome: ReadAnswer) -> None:
            if outcome is ReadAnswer.LOST:
                self._fail(connection, request.id, RefusalCode.NOT_LEADER, "leadership changed")
            else:
                self._send(connection, LeaseList(request.id, self._leadership.leases()))

        if self._leads(connection, request.id):
            self._group.read(ready)

    def _open_watch(self, connection: Connection, request: OpenWatch) -> None:
        def ready(outcome: ReadAnswer) -> None:
            subscriber = self._subscribers.number(connection)
            if not subscriber:
                return
            if outcome is ReadAnswer.LOST:
                self._fail(connection, request.id, RefusalCode.NOT_LEADER, "leadership changed")
                return
            if self._hub.count(subscriber) >= self._machine.limits.watches_per_connection:
                message = "this connection has as many watches as it may: close one, or connect"
                self._fail(connection, request.id, RefusalCode.LIMIT_EXCEEDED, message)
                return
            try:
                revision = self._hub.open(subscriber, request.id, request.request)
            except Compacted as error:
                refusal = Refusal(RefusalCode.COMPACTED, str(error), error.compact_revision)
                self._send(connection, Failed(request.id, refusal))
                return
            except InvalidRequest as error:
                self._fail(connection, request.id, RefusalCode.INVALID_REQUEST, str(error))
                return
            self._send(connection, WatchOpened(request.id, revision))
            self._subscribers.plan_progress()
            self._subscribers.deliver_to(connection)

        if not self._leads(connection, request.id):
            return
        if request.request.from_revision > 0:
            ready(ReadAnswer.READY)
        else:
            # "Now" must not lie before what the client has already seen elsewhere.
            self._group.read(ready)

    def _close_watch(self, connection: Connection, request: CloseWatch) -> None:
        subscriber = self._subscribers.number(connection)
        if subscriber:
            self._hub.close(subscriber, request.id)

    def members_changed(self) -> None:
        """Tell every client where the members are now, so that none knows only those who left."""
        members = self._member_list(0)
        for connection in self._subscribers:
            self._send(connection, members)

    def _members(self, connection: Connection, request: AskMembers) -> None:
        self._send(connection, self._member_list(request.id))

    def _member_list(self, request: int) -> Members:
        raft = self._group.raft
        configuration = raft.configuration
        members = tuple(
            MemberStatus(member.id, member.name, member.address, _part(configuration, member.id))
            for member in configuration.members
        )
        return Members(request, self._status(0).cluster_id, raft.leader, members)

    def _change_members(self, connection: Connection, request: ChangeMembers) -> None:
        if not self._leads(connection, request.id):
            return
        try:
            change = read_change(request.change)
        except InvalidRequest as error:
            self._fail(connection, request.id, RefusalCode.INVALID_REQUEST, str(error))
            return

        def answer(outcome: object) -> None:
            if not isinstance(outcome, ProposalFailed):
                self._send(connection, Done(request.id))
            elif outcome.reason is RejectReason.NOT_READY and connection.is_open:
                # Changes follow each other: this one waits until the one before is committed.
                asyncio.get_running_loop().call_later(
                    CHANGE_RETRY_SECONDS, self._change_members, connection, request
                )
            elif outcome.placed:
                message = f"{outcome}: look at the members before trying again"
                self._fail(connection, request.id, RefusalCode.OUTCOME_UNKNOWN, message)
            else:
                self._fail(connection, request.id, RefusalCode.MEMBERSHIP_REFUSED, str(outcome))

        self._group.change(change, answer)

    def _transfer(self, connection: Connection, request: TransferLeadership) -> None:
        if self._leads(connection, request.id):
            self._group.transfer(request.target)
            self._send(connection, Done(request.id))

    def _answer_status(self, connection: Connection, request: AskStatus) -> None:
        self._send(connection, self._status(request.id))

    def _save_snapshot(self, connection: Connection, request: SaveSnapshot) -> None:
        """Stream the state once a quorum confirms that this node leads: it lacks nothing then."""

        def ready(outcome: ReadAnswer) -> None:
            if not connection.is_open:
                return
            if outcome is ReadAnswer.LOST:
                self._fail(connection, request.id, RefusalCode.NOT_LEADER, "leadership changed")
                return
            if connection in self._backups:
                message = "a snapshot is on its way over this connection: wait for its end"
                self._fail(connection, request.id, RefusalCode.INVALID_REQUEST, message)
                return
            group = self._group
            configuration = encode_configuration(group.raft.configuration)
            start = SnapshotStart(
                request.id, group.applied_index, group.applied_term, configuration
            )
            self._send(connection, start)
            self._backups.begin(connection, request.id, self._machine.capture())

        if self._leads(connection, request.id):
            self._group.read(ready)


def _result_bytes(result: ReadResult) -> int:
    if type(result) is KeyValue:
        return len(result.key) + len(result.value)
    return result_bytes(result) if type(result) is RangeResult else 0


def _part(configuration: Configuration, node: int) -> str:
    return "learner" if node in configuration.learners else "voter"

"""The leader's clock for leases and sessions.

Laws: a lease never ends before its ttl as the client counts it, from the moment it sent the
last keep-alive that was answered. A lease whose end was proposed is not renewed until that
proposal is settled. What was promised survives a change of leader: a checkpoint that says
less than a later renewal promised is replaced before that renewal is answered.

The replicated table says which leases exist; this says until when. It exists on the leader
alone and starts anew with each term, with everything extended.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

import msgspec

from quorate.kv.commands import CheckpointLeases, Command, ExpireLeases, ExpireSessions
from quorate.kv.leases import Lease
from quorate.kv.machine import KeyValueMachine

MILLISECOND: Final = 1_000_000
CHECKPOINT_NS: Final = 300 * 1_000_000_000
"""A lease longer than this has its remaining ttl saved about this often."""

DUE_MAX: Final = 1000
"""Leases and sessions that one call of `due` names, at most."""

_LOOKS_MAX: Final = 4 * DUE_MAX
"""Places in the heap that one call of `due` looks at: most belong to leases renewed since."""

_RETRY_NS: Final = 100 * MILLISECOND

_LEASE: Final = 0
_CHECKPOINT: Final = 1
_SESSION: Final = 2


class RenewResult(msgspec.Struct, frozen=True, gc=False):
    """What a keep-alive came to: `ttl_ms` is 0 when the lease ended, is ending, or never was.

    With `reset`, that command must be committed before the client is answered: the
    replicated table holds less than was now promised.
    """

    ttl_ms: int
    reset: CheckpointLeases | None = None


_NOT_FOUND: Final = RenewResult(0)


class Lessor:
    """Deadlines of all leases and sessions, in nanoseconds of the caller's monotonic clock."""

    def __init__(self) -> None:
        self._machine: KeyValueMachine | None = None
        self._session_ttl = 0
        self._extend = 0
        # A deadline only moves in its dict; its place in the heap follows when it is reached.
        # `_placed` has, for each kind and id, the time of the one place that still counts.
        self._heap: list[tuple[int, int, int]] = []
        self._placed: tuple[dict[int, int], ...] = ({}, {}, {})
        self._deadlines: dict[int, int] = {}
        self._idle: dict[int, int] = {}
        self._expiring: dict[int, None] = {}
        self._checkpointing: dict[int, int] = {}
        self._closing: dict[int, None] = {}

    @property
    def leading(self) -> bool:
        """Whether a term is on."""
        return self._machine is not None

    def promote(self, now_ns: int, machine: KeyValueMachine, extend_ns: int) -> None:
        """Begin a term: each lease gets what was promised to it, and `extend_ns` more.

        To be called when the term's first entry is applied, so that no earlier leader's
        proposal is still to come.
        """
        self.demote()
        self._machine = machine
        self._extend = extend_ns
        self._session_ttl = int(machine.limits.session_ttl * 1e9)
        machine.lease_table.listen()
        machine.sessions.listen()
        for lease in machine.lease_table:
            self._deadlines[lease.id] = now_ns + extend_ns + lease.promised_ms * MILLISECOND
            self._place(_LEASE, lease.id, self._deadlines[lease.id])
            self._plan_checkpoint(lease, now_ns)
        for session in machine.sessions:
            self._idle[session] = now_ns + extend_ns + self._session_ttl
            self._place(_SESSION, session, self._idle[session])

    def demote(self) -> None:
        """End the term: forget every deadline; nothing is due any more."""
        if self._machine is not None:
            self._machine.lease_table.ignore()
            self._machine.sessions.ignore()
        self._machine = None
        self._heap.clear()
        for places in self._placed:
            places.clear()
        self._deadlines.clear()
        self._idle.clear()
        self._expiring.clear()
        self._checkpointing.clear()
        self._closing.clear()

    def sync(self, now_ns: int) -> None:
        """Take over what was decided since the last call; to be called after each apply."""
        machine = self._machine
        if machine is None:
            return
        for lease, granted in machine.lease_table.take_touched():
            self._expiring.pop(lease, None)
            known = machine.lease_table.get(lease)
            if known is None:
                self._forget_lease(lease)
            else:
                self._follow_lease(known, granted=granted, now_ns=now_ns)
        for session in machine.sessions.take_touched():
            self._closing.pop(session, None)
            if machine.sessions.get(session) is None:
                self._idle.pop(session, None)
                self._placed[_SESSION].pop(session, None)
                continue
            self._idle[session] = now_ns + self._session_ttl
            if session not in self._placed[_SESSION]:
                self._place(_SESSION, session, self._idle[session])

    def renew(self, lease: int, now_ns: int) -> RenewResult:
        """Renew a lease from `now_ns`, which is not before the keep-alive was received."""
        known = self._find(lease)
        if known is None or lease in self._expiring:
            return _NOT_FOUND
        promised = now_ns + known.ttl_ms * MILLISECOND
        self._deadlines[lease] = max(self._deadlines[lease], promised)
        if known.remaining_ms or lease in self._checkpointing:
            return RenewResult(known.ttl_ms, CheckpointLeases(((lease, known.ttl_ms),)))
        return RenewResult(known.ttl_ms)

    def remaining(self, lease: int, now_ns: int) -> int | None:
        """Return what remains of a lease in ns, 0 when it is ending; None: there is none."""
        known = self._find(lease)
        if known is None:
            return None
        if lease in self._expiring:
            return 0
        left = self._deadlines[lease] - now_ns
        return max(0, min(left, known.ttl_ms * MILLISECOND))

    def session_active(self, session: int, now_ns: int) -> bool:
        """Keep a session that writes nothing; False when it ended, is ending, or never was."""
        if session not in self._idle or session in self._closing:
            return False
        self._idle[session] = max(self._idle[session], now_ns + self._session_ttl)
        return True

    def due(self, now_ns: int) -> list[Command]:
        """Return the commands to propose now.

        The work of one call is bounded: if there is more, `next_deadline` is not after
        `now_ns`. What a command names is then ending; each command must be followed by the
        `sync` after its apply, by `proposal_failed`, or by `demote`.
        """
        expired: list[tuple[int, int]] = []
        checkpoints: list[tuple[int, int]] = []
        closed: list[tuple[int, int]] = []
        heap = self._heap
        looked = 0
        while heap and heap[0][0] <= now_ns and looked < _LOOKS_MAX:
            looked += 1
            at, kind, name = heappop(heap)
            if self._placed[kind].get(name) != at:
                continue
            del self._placed[kind][name]
            if kind == _LEASE:
                self._lease_due(name, now_ns, expired)
            elif kind == _CHECKPOINT:
                self._checkpoint_due(name, now_ns, checkpoints)
            else:
                self._session_due(name, now_ns, closed)
            if len(expired) + len(checkpoints) + len(closed) >= DUE_MAX:
                break
        commands: list[Command] = []
        if expired:
            commands.append(ExpireLeases(tuple(expired)))
        if checkpoints:
            commands.append(CheckpointLeases(tuple(checkpoints)))
        if closed:
            commands.append(ExpireSessions(tuple(closed)))
        return commands

    def proposal_failed(self, commands: Sequence[Command], now_ns: int) -> None:
        """Take back commands of `due` that are certain never to be applied; they come again."""
        retry = now_ns + _RETRY_NS
        for command in commands:
            if isinstance(command, ExpireLeases):
                for lease, _ in command.leases:
                    if lease in self._expiring:
                        del self._expiring[lease]
                        self._place(_LEASE, lease, retry)
            elif isinstance(command, CheckpointLeases):
                for lease, remaining_ms in command.leases:
                    if self._checkpointing.get(lease) == remaining_ms:
                        del self._checkpointing[lease]
                        self._place(_CHECKPOINT, lease, retry)
            elif isinstance(command, ExpireSessions):
                self._reopen(command, retry)

    def _reopen(self, command: ExpireSessions, retry: int) -> None:
        for session, _ in command.sessions:
            if session in self._closing:
                del self._closing[session]
                self._place(_SESSION, session, retry)

    def next_deadline(self) -> int | None:
        """Return when `due` may next have work, in ns; never too late. None: nothing waits."""
        heap = self._heap
        while heap and self._placed[heap[0][1]].get(heap[0][2]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def _find(self, lease: int) -> Lease | None:
        if self._machine is None or lease not in self._deadlines:
            return None
        return self._machine.lease_table.get(lease)

    def _place(self, kind: int, name: int, at: int) -> None:
        if self._placed[kind].get(name) != at:
            self._placed[kind][name] = at
            heappush(self._heap, (at, kind, name))

    def _forget_lease(self, lease: int) -> None:
        self._deadlines.pop(lease, None)
        self._checkpointing.pop(lease, None)
        self._placed[_LEASE].pop(lease, None)
        self._placed[_CHECKPOINT].pop(lease, None)

    def _follow_lease(self, lease: Lease, *, granted: bool, now_ns: int) -> None:
        name = lease.id
        if granted:
            self._deadlines[name] = now_ns + lease.ttl_ms * MILLISECOND
            self._place(_LEASE, name, self._deadlines[name])
        elif name not in self._placed[_LEASE]:
            # Its end was proposed for an older generation, so it goes on: look again.
            self._place(_LEASE, name, self._deadlines[name])
        if self._checkpointing.get(name) == lease.remaining_ms:
            del self._checkpointing[name]
        self._plan_checkpoint(lease, now_ns)

    def _plan_checkpoint(self, lease: Lease, now_ns: int) -> None:
        if lease.id in self._checkpointing:
            return
        if self._says_too_little(lease, now_ns):
            self._place(_CHECKPOINT, lease.id, now_ns)
        elif lease.promised_ms * MILLISECOND > CHECKPOINT_NS:
            self._place(_CHECKPOINT, lease.id, now_ns + CHECKPOINT_NS)

    def _says_too_little(self, lease: Lease, now_ns: int) -> bool:
        """Whether a next leader, extending by as much as this one, would end it too early."""
        left = self._deadlines[lease.id] - now_ns
        return 0 < lease.remaining_ms * MILLISECOND < left - self._extend

    def _lease_due(self, lease: int, now_ns: int, expired: list[tuple[int, int]]) -> None:
        deadline = self._deadlines[lease]
        if deadline > now_ns:
            self._place(_LEASE, lease, deadline)
            return
        known = self._find(lease)
        if known is not None:
            self._expiring[lease] = None
            expired.append((lease, known.generation))

    def _checkpoint_due(self, lease: int, now_ns: int, checkpoints: list[tuple[int, int]]) -> None:
        known = self._find(lease)
        if known is None or lease in self._expiring or lease in self._checkpointing:
            return
        left = self._deadlines[lease] - now_ns
        if not self._says_too_little(known, now_ns):
            enough = known.promised_ms * MILLISECOND - CHECKPOINT_NS
            if enough <= 0 or left <= 0:
                return
            if left > enough:
                # Renewed meanwhile: what the table says is still close to the truth.
                self._place(_CHECKPOINT, lease, self._deadlines[lease] - enough)
                return
        # Rounded up: a checkpoint never takes from what was promised.
        remaining_ms = -(-left // MILLISECOND)
        if remaining_ms >= known.ttl_ms:
            remaining_ms = 0
        self._checkpointing[lease] = remaining_ms
        checkpoints.append((lease, remaining_ms))

    def _session_due(self, session: int, now_ns: int, closed: list[tuple[int, int]]) -> None:
        if self._idle[session] > now_ns:
            self._place(_SESSION, session, self._idle[session])
            return
        known = self._machine.sessions.get(session) if self._machine is not None else None
        if known is not None:
            self._closing[session] = None
            closed.append((session, known.last_index))

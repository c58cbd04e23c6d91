"""The leader's clock for leases and sessions.

Laws: a lease never ends before its ttl as the client counts it, from the moment it sent the
last keep-alive that was answered. A lease whose end was proposed is not renewed until that
proposal is settled. What was promised survives a change of leader: a checkpoint that says
less than a later renewal promised is replaced before that renewal is answered.

The replicated table says which leases exist; this says until when. It exists on the leader
alone and starts anew with each term, with everything extended.
"""

from __future__ import annotations

from heapq import heapify
from typing import Final

import msgspec

from quorate.kv.commands import CheckpointLeases
from quorate.kv.machine import KeyValueMachine

MILLISECOND: Final = 1_000_000
CHECKPOINT_NS: Final = 300 * 1_000_000_000
"""A lease longer than this has its remaining ttl saved about this often."""

DUE_MAX: Final = 1000
"""Leases and sessions that one call of `due` names, at most."""

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
        self._heap: list[tuple[int, int, int]] = []
        # For each kind: by id, the time of its one valid place in the heap.
        self._placed: tuple[dict[int, int], dict[int, int], dict[int, int]] = ({}, {}, {})
        self._deadlines: dict[int, int] = {}
        self._idle: dict[int, int] = {}
        self._expiring: dict[int, None] = {}
        self._checkpointing: dict[int, None] = {}
        self._closing: dict[int, None] = {}

    @property
    def leading(self) -> bool:
        """Whether this is the leader's."""
        return self._machine is not None

    def promote(self, now_ns: int, machine: KeyValueMachine, extend_ns: int) -> None:
        """Begin a term: each lease gets what was promised to it, and `extend_ns` more.

        To be called when the term's first entry is applied, so that no earlier leader's
        proposal is still to come.
        """
        self.demote()
        self._machine = machine
        self._session_ttl = int(machine.limits.session_ttl * 1e9)
        machine.lease_table.listen()
        machine.sessions.listen()
        for lease in machine.lease_table:
            deadline = now_ns + extend_ns + lease.promised_ms * MILLISECOND
            self._deadlines[lease.id] = deadline
            self._push(deadline, _LEASE, lease.id)
            self._plan_checkpoint(lease.id, now_ns)
        for session in machine.sessions:
            self._idle[session] = now_ns + extend_ns + self._session_ttl
            self._push(self._idle[session], _SESSION, session)
        heapify(self._heap)

    def demote(self) -> None:
        """End the term: forget every deadline; nothing is due any more."""
        if self._machine is not None:
            self._machine.lease_table.ignore()
            self._machine.sessions.ignore()
        self._machine = None
        self._heap.clear()
        for placed in self._placed:
            placed.clear()
        self._deadlines.clear()
        self._idle.clear()
        self._expiring.clear()
        self._checkpointing.clear()
        self._closing.clear()

    def sync(self, now_ns: int) -> None:
        """Take over what was decided since the last call; to be called after every apply."""
        machine = self._machine
        if machine is None:
            return
        for lease in machine.lease_table.take_touched():
            self._expiring.pop(lease, None)
            self._checkpointing.pop(lease, None)
            known = machine.lease_table.get(lease)
            if known is None:
                self._deadlines.pop(lease, None)
                self._placed[_LEASE].pop(lease, None)
                self._placed[_CHECKPOINT].pop(lease, None)
                continue
            if known.generation == machine.applied_index and not known.remaining_ms:
                # Granted, or reset to its whole ttl, in the entry just applied.
                granted = now_ns + known.ttl_ms * MILLISECOND
                self._deadlines[lease] = max(granted, self._deadlines.get(lease, 0))
            deadline = self._deadlines.setdefault(lease, now_ns + known.ttl_ms * MILLISECOND)
            self._push(deadline, _LEASE, lease)
            self._plan_checkpoint(lease, now_ns)
        for session in machine.sessions.take_touched():
            self._closing.pop(session, None)
            if machine.sessions.get(session) is None:
                self._idle.pop(session, None)
                self._placed[_SESSION].pop(session, None)
                continue
            self._idle[session] = now_ns + self._session_ttl
            if session not in self._placed[_SESSION]:
                self._push(self._idle[session], _SESSION, session)

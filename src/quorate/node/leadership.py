"""What only the leader does: end leases and sessions, and compact the history.

Each is a proposal like any other; nothing ends by a follower's clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from quorate.kv.commands import Command, Compact, Envelope, encode_commands
from quorate.kv.compaction import CompactionPolicy
from quorate.kv.lessor import Lessor
from quorate.kv.machine import KeyValueMachine
from quorate.runtime.host import Group, ProposalFailed
from quorate.store.types import LeaseStatus

NANOSECONDS: Final = 1e-9
COMPACTION_SECONDS: Final = 5.0


class Leadership:
    """The duties of a leader; idle on everybody else."""

    def __init__(
        self, group: Group, machine: KeyValueMachine, lessor: Lessor, policy: CompactionPolicy
    ) -> None:
        self._group = group
        self._machine = machine
        self._lessor = lessor
        self._policy = policy
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._compaction: asyncio.TimerHandle | None = None
        self._extend = group.raft.core.config.election_ns

    def update(self) -> None:
        """Take up or lay down the duties; to be called after every apply and role change."""
        core = self._group.raft.core
        # Only with the term's first entry applied is no earlier leader's proposal to come.
        leads = self._group.raft.ready and self._group.applied_index >= core.term_start
        if leads and not self._lessor.leading:
            self._lessor.promote(self._group.now, self._machine, self._extend)
            self._compact_later()
        elif not leads and self._lessor.leading:
            self._lessor.demote()
            self._policy.forget()
            self.close()
        if leads:
            self._lessor.sync(self._group.now)
            self._arm()

    def renew(
        self,
        leases: Sequence[int],
        done: Callable[[list[int]], None],
        failed: Callable[[ProposalFailed], None],
    ) -> None:
        """Renew leases and give `done` each one's ttl in ms, 0 for one that is gone.

        A renewal that promises more than the replicated table holds is committed first.
        """
        # A read may be answered before the apply that begins the term is announced.
        self.update()
        results = [self._lessor.renew(lease, self._group.now) for lease in leases]
        ttls = [result.ttl_ms for result in results]
        resets: list[Command] = [result.reset for result in results if result.reset is not None]
        self._arm()
        if not resets:
            done(ttls)
            return

        def answer(outcome: object) -> None:
            if isinstance(outcome, ProposalFailed):
                failed(outcome)
            else:
                done(ttls)

        self._group.propose(_internal(resets), answer)

    def status(self, lease: int) -> LeaseStatus | None:
        """Return what remains of a lease; None when it is gone."""
        self.update()
        known = self._machine.lease_table.get(lease)
        remaining = self._lessor.remaining(lease, self._group.now)
        if known is None or remaining is None:
            return None
        keys = tuple(self._machine.lease_table.keys(lease))
        return LeaseStatus(lease, known.ttl_ms / 1000, max(remaining, 0) * NANOSECONDS, keys)

    def leases(self) -> tuple[int, ...]:
        """Return the ids of all leases, those that end soonest first."""
        self.update()
        now = self._group.now
        known = [lease.id for lease in self._machine.lease_table]
        return tuple(
            sorted(known, key=lambda lease: (self._lessor.remaining(lease, now) or 0, lease))
        )

    def close(self) -> None:
        """Stop the timers."""
        for timer in (self._timer, self._compaction):
            if timer is not None:
                timer.cancel()
        self._timer = self._compaction = None

    def _arm(self) -> None:
        deadline = self._lessor.next_deadline()
        if deadline is None:
            return
        if self._timer is not None:
            if deadline >= self._timer_at:
                return
            self._timer.cancel()
        self._timer_at = deadline
        delay = max((deadline - self._group.now) * NANOSECONDS, 0.001)
        self._timer = self._loop.call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        commands = self._lessor.due(self._group.now)
        if commands:

            def answer(outcome: object) -> None:
                # What was placed may still be applied; then the next leader sees to it.
                if isinstance(outcome, ProposalFailed) and not outcome.placed:
                    self._lessor.proposal_failed(commands, self._group.now)
                    self._arm()

            self._group.propose(_internal(commands), answer)
        self._arm()

    def _compact_later(self) -> None:
        self._compaction = self._loop.call_later(COMPACTION_SECONDS, self._compact)

    def _compact(self) -> None:
        machine, now = self._machine, self._group.now
        history = machine.history
        self._policy.observe(now, machine.revision, history.replaced_bytes)
        target = self._policy.target(now, machine.compact_revision, history.history_bytes)
        if target:
            self._group.propose(_internal([Compact(target)]), lambda _: None)
        self._compact_later()


def _internal(commands: Sequence[Command]) -> Envelope:
    """Return an envelope of the leader's own; it has no session, since applying checks it."""
    return Envelope("", 0, 0, 0, 0, 0, encode_commands(commands))

"""One state in memory, with its clock: what a cluster of one node would be.

Laws: whatever is applied is followed at once by what a leader would do: leases take up
their deadlines, watches wake, history that is too old is compacted.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from quorate.errors import InvalidRequest
from quorate.kv.commands import (
    BATCH_FORMAT,
    Batch,
    Command,
    Compact,
    Envelope,
    Outcome,
    Refusal,
    encode_batch,
    encode_commands,
)
from quorate.kv.compaction import CompactionPolicy
from quorate.kv.lessor import Lessor
from quorate.kv.machine import KeyValueMachine
from quorate.kv.refusals import error_of
from quorate.kv.watches import WatchHub
from quorate.runtime.ports import Clock
from quorate.store.limits import Limits
from quorate.store.types import WatchRequest

PROGRESS_SECONDS: Final = 10.0
"""A watch that has nothing to deliver is told about the revision this long after it rose."""

_SHORTEST_DELAY: Final = 0.001
_SWEEP: Final = 1024


class Wakeable(Protocol):
    """A watch as the space sees it."""

    def wake(self) -> None:
        """Something is ready to be taken."""

    def mark(self, revision: int) -> None:
        """Everything up to `revision` was taken."""


class MemorySpace:
    """A machine, its lessor and its watches, on one event loop."""

    def __init__(self, limits: Limits, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.machine = KeyValueMachine(limits)
        self.hub = WatchHub(self.machine)
        self._clock = clock
        self._lessor = Lessor()
        self._lessor.promote(clock.monotonic(), self.machine, 0)
        self._policy = CompactionPolicy(limits)
        self._watches: dict[int, Wakeable] = {}
        self._last_subscriber = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._progress: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Handle | None = None

    def execute(self, command: Command) -> Outcome:
        """Apply one command and return its outcome; raises the error that it is refused with."""
        (outcome,) = self._apply([command])
        self._settle()
        if isinstance(outcome, Refusal):
            raise error_of(outcome)
        return outcome

    def renew(self, lease: int) -> int:
        """Renew a lease and return its ttl in ms; 0 when there is none."""
        result = self._lessor.renew(lease, self._clock.monotonic())
        if result.reset is not None:
            self._apply([result.reset])
        self._arm()
        return result.ttl_ms

    def remaining(self, lease: int) -> int | None:
        """Return what remains of a lease in ns; None: there is none."""
        return self._lessor.remaining(lease, self._clock.monotonic())

    def open_watch(self, request: WatchRequest, watch: Wakeable) -> tuple[int, int]:
        """Open a watch; return its subscriber number and the revision it starts from."""
        subscriber = self._last_subscriber + 1
        start = self.hub.open(subscriber, 0, request)
        self._last_subscriber = subscriber
        self._watches[subscriber] = watch
        return subscriber, start

    def close_watch(self, subscriber: int) -> None:
        """Close a watch; fine when it is closed already."""
        if self._watches.pop(subscriber, None) is not None:
            self.hub.close_subscriber(subscriber)

    def stop(self) -> None:
        """Let time stand still: nothing expires any more."""
        for timer in (self._timer, self._progress, self._sweeping):
            if timer is not None:
                timer.cancel()

    def _apply(self, commands: list[Command]) -> list[Outcome]:
        try:
            body = encode_commands(commands)
        except (TypeError, OverflowError) as error:
            raise InvalidRequest(f"the request can't be encoded: {error}") from error
        batch = Batch(
            BATCH_FORMAT, self._clock.wall() // 1_000_000, (Envelope("", 0, 0, 0, 0, 0, body),)
        )
        ((_, outcomes),) = self.machine.apply(self.machine.applied_index + 1, encode_batch(batch))
        self._lessor.sync(self._clock.monotonic())
        return outcomes

    def _settle(self) -> None:
        """Do what follows from what was applied."""
        machine, now = self.machine, self._clock.monotonic()
        history = machine.history
        self._policy.observe(now, machine.revision, history.replaced_bytes)
        target = self._policy.target(now, machine.compact_revision, history.history_bytes)
        if target:
            self._apply([Compact(target)])
        for subscriber in self.hub.ready():
            self._watches[subscriber].wake()
        if self._watches and self._progress is None:
            self._progress = self.loop.call_later(PROGRESS_SECONDS, self._mark_progress)
        if self._sweeping is None and machine.sweep(_SWEEP):
            self._sweeping = self.loop.call_soon(self._sweep)
        self._arm()

    def _arm(self) -> None:
        """Set the timer to the next lease, or the next history, that ends."""
        deadline = self._lessor.next_deadline()
        history = self._policy.next_deadline()
        if deadline is None or (history is not None and history < deadline):
            deadline = history
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        delay = (deadline - self._clock.monotonic()) / 1e9
        self._timer = self.loop.call_later(max(delay, _SHORTEST_DELAY), self._expire)

    def _expire(self) -> None:
        self._timer = None
        commands = self._lessor.due(self._clock.monotonic())
        if commands:
            self._apply(commands)
        self._settle()

    def _mark_progress(self) -> None:
        self._progress = None
        for subscriber, watch in list(self._watches.items()):
            for _, revision in self.hub.progress(subscriber):
                watch.mark(revision)

    def _sweep(self) -> None:
        self._sweeping = None
        if self.machine.sweep(_SWEEP):
            self._sweeping = self.loop.call_soon(self._sweep)

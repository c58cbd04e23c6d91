"""`MemoryStore`: the Store port in this process, on the machine that a cluster replicates.

Law: every write goes through the same encoded batch, and every lease through the same
clock, as on a cluster of one; only the log and the network are missing. What works here
works there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from quorate.engines.memory_space import MemorySpace
from quorate.errors import InvalidRequest, LeaseNotFound, QuorateError
from quorate.kv.commands import Command, Compact, Enqueue, GrantLease, Refusal, RevokeLease
from quorate.kv.refusals import error_of
from quorate.runtime.ports import Clock, Randomness
from quorate.runtime.world import RealClock, RealRandomness
from quorate.store.limits import Limits
from quorate.store.port import Capabilities
from quorate.store.types import (
    Commit,
    CommitResult,
    Compare,
    Delete,
    DeleteRange,
    DeleteResult,
    Enqueued,
    Get,
    Grant,
    KeyValue,
    LeaseStatus,
    Operation,
    Put,
    Range,
    RangeResult,
    ReadConsistency,
    WatchBatch,
    WatchRequest,
)

NANOSECOND: Final = 1e-9
TAKE_BYTES: Final = 1024 * 1024
"""What a watch takes from the hub at once."""

Answer = TypeVar("Answer")

_named: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, MemorySpace]] = WeakKeyDictionary()
"""The shared spaces of each loop; they live as long as it does."""


class MemoryStore:
    """A private store; `MemoryStore.named` gives one that is shared.

    It belongs to the event loop of its first call. `limits` and the ports count for the
    space that this store is the first to open.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
        name: str = "",
    ) -> None:
        self._limits = limits or Limits()
        self._clock = clock or RealClock()
        self._randomness = randomness or RealRandomness()
        self._name = name
        self._bound: MemorySpace | None = None
        self._watches: dict[MemoryWatch, None] = {}
        self._closed = False

    @classmethod
    def named(cls, name: str) -> MemoryStore:
        """Return a store on the state of that name, shared within one process and loop."""
        return cls(name=name)

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do: everything."""
        return Capabilities(engine="memory")

    @property
    def limits_value_bytes(self) -> int:
        """The largest value in bytes."""
        return self._limits.value_bytes

    async def get(
        self,
        key: bytes,
        *,
        revision: int = 0,
        consistency: ReadConsistency = ReadConsistency.LINEARIZABLE,  # noqa: ARG002  # always is
    ) -> KeyValue | None:
        """Return the key's version, now or at `revision`; None when it is absent."""
        found = self._read(Get(key, revision))
        assert found is None or isinstance(found, KeyValue)
        return found

    async def range(
        self,
        query: Range,
        *,
        consistency: ReadConsistency = ReadConsistency.LINEARIZABLE,  # noqa: ARG002  # always is
    ) -> RangeResult:
        """Return one page of a range."""
        found = self._read(query)
        assert isinstance(found, RangeResult)
        return found

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        """Write one key and return the revision."""
        return self._write(Put(key, value, lease), int)

    async def delete(self, key: bytes) -> DeleteResult:
        """Delete one key."""
        return self._write(Delete(key), DeleteResult)

    async def delete_range(self, start: bytes, end: bytes) -> DeleteResult:
        """Delete the keys in [start, end); an empty `end` means no upper bound."""
        return self._write(DeleteRange(start, end), DeleteResult)

    async def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
    ) -> CommitResult:
        """Run one branch atomically."""
        return self._write(Commit(tuple(when), tuple(then), tuple(otherwise)), CommitResult)

    async def enqueue(self, prefix: bytes, value: bytes, *, lease: int = 0) -> Enqueued:
        """Create a new key under `prefix`, after every other that was enqueued there."""
        return self._write(Enqueue(prefix, value, lease), Enqueued)

    async def grant(self, ttl: float) -> Grant:
        """Grant a lease of `ttl` seconds, within the limits."""
        given = min(max(ttl, self._limits.lease_ttl_min), self._limits.lease_ttl_max)
        ttl_ms = int(given * 1000)
        lease = self._randomness.bits(62) + 1
        self._space().execute(GrantLease(lease, ttl_ms))
        return Grant(lease, ttl_ms / 1000)

    async def keep_alive(self, lease: int) -> float:
        """Renew a lease and return its ttl in seconds."""
        ttl_ms = self._space().renew(lease)
        if not ttl_ms:
            raise LeaseNotFound(f"lease {lease:x} ended: grant a new one")
        return ttl_ms / 1000

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys in one step."""
        self._space().execute(RevokeLease(lease))

    async def time_to_live(self, lease: int) -> LeaseStatus:
        """Return what remains of a lease, and its keys."""
        space = self._space()
        known = space.machine.lease_table.get(lease)
        remaining = space.remaining(lease)
        if known is None or remaining is None:
            raise LeaseNotFound(f"lease {lease:x} ended or never was")
        keys = space.machine.lease_table.keys(lease)
        return LeaseStatus(lease, known.ttl_ms / 1000, remaining * NANOSECOND, keys)

    def watch(self, request: WatchRequest) -> MemoryWatch:
        """Watch a key or a range, from now on or from a revision.

        A revision that is gone is reported by the iteration, with `Compacted`.
        """
        watch = MemoryWatch(self._space(), request, self._watches)
        self._watches[watch] = None
        return watch

    async def compact(self, revision: int) -> None:
        """Forget versions that were replaced at or before `revision`."""
        self._space().execute(Compact(revision))

    async def close(self) -> None:
        """Close every watch; further calls raise. A shared state stays for the others."""
        self._closed = True
        for watch in list(self._watches):
            await watch.close()
        if self._bound is not None and not self._name:
            self._bound.stop()

    def _space(self) -> MemorySpace:
        if self._closed:
            raise InvalidRequest("this store is closed: open another")
        if self._bound is None:
            loop = asyncio.get_running_loop()
            if not self._name:
                self._bound = MemorySpace(self._limits, self._clock, loop)
                return self._bound
            spaces = _named.setdefault(loop, {})
            space = spaces.get(self._name)
            if space is None:
                space = spaces[self._name] = MemorySpace(self._limits, self._clock, loop)
            self._limits = space.machine.limits
            self._bound = space
        return self._bound

    def _read(self, operation: Get | Range) -> KeyValue | RangeResult | None:
        (found,) = self._space().machine.read((operation,))
        if isinstance(found, Refusal):
            raise error_of(found)
        return found

    def _write(self, command: Command, answer: type[Answer]) -> Answer:
        outcome = self._space().execute(command)
        assert isinstance(outcome, answer)
        return outcome


class MemoryWatch:
    """One open watch. Iterate over it from one task at a time."""

    def __init__(
        self, space: MemorySpace, request: WatchRequest, open_watches: dict[MemoryWatch, None]
    ) -> None:
        self._space = space
        self._open_watches = open_watches
        self._batches: deque[WatchBatch] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._error: QuorateError | None = None
        self._closed = False
        self._subscriber = 0
        self._handed = 0
        try:
            self._subscriber, start = space.open_watch(request, self)
        except QuorateError as error:
            self._error = error
        else:
            self._handed = start - 1

    @property
    def revision(self) -> int:
        """The last revision of which everything has been handed out."""
        return self._handed

    def __aiter__(self) -> AsyncIterator[WatchBatch]:
        return self

    async def __anext__(self) -> WatchBatch:
        while True:
            if self._batches:
                batch = self._batches.popleft()
                self._handed = batch.revision
                return batch
            if self._closed:
                raise StopAsyncIteration
            self._take()
            if self._batches:
                continue
            if self._error is not None:
                error = self._error
                await self.close()
                raise error
            self._waiting = self._space.loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None

    async def close(self) -> None:
        """Stop watching; iteration ends."""
        if self._closed:
            return
        self._closed = True
        self._batches.clear()
        self._open_watches.pop(self, None)
        self._space.close_watch(self._subscriber)
        self.wake()

    def wake(self) -> None:
        """Something is there to take, or it is over."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def mark(self, revision: int) -> None:
        """Everything up to `revision` was taken: say so, after what is still to hand out."""
        if not self._closed and revision > self._handed:
            self._batches.append(WatchBatch(revision))
            self.wake()

    def _take(self) -> None:
        for _, batch in self._space.hub.take(self._subscriber, TAKE_BYTES):
            if isinstance(batch, Refusal):
                self._error = error_of(batch)
            else:
                self._batches.append(batch)

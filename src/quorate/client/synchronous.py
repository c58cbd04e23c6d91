"""`Client`: the blocking face, a thin portal over `AsyncClient`. One thread per client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from quorate.client.asynchronous import TIMEOUT_SECONDS, AsyncClient
from quorate.client.blocking import (
    SyncBarrier,
    SyncClaim,
    SyncConfig,
    SyncCounter,
    SyncDoubleBarrier,
    SyncElection,
    SyncGroup,
    SyncLatch,
    SyncQueue,
    SyncRateLimiter,
    SyncSemaphore,
    SyncSequence,
)
from quorate.client.discovering import SyncRegistry
from quorate.client.kv import AsyncKV, EventStream, Text
from quorate.client.portal import Portal
from quorate.recipes.claim import DEFAULT_TTL_SECONDS
from quorate.recipes.config import Value
from quorate.recipes.counting import BATCH
from quorate.runtime.transport.tls import TlsConfig
from quorate.store.types import (
    CommitResult,
    Compare,
    DeleteResult,
    Enqueued,
    Event,
    Grant,
    KeyValue,
    LeaseStatus,
    Operation,
    Range,
    RangeResult,
    ReadConsistency,
    WatchDetail,
)

Recipe = TypeVar("Recipe")


class Events:
    """The events of a watch, for a `for` loop; also a context manager that closes it."""

    def __init__(self, portal: Portal, stream: EventStream) -> None:
        self._portal = portal
        self._stream = stream
        self._events = stream.__aiter__()

    @property
    def revision(self) -> int:
        """The last revision of which everything has been handed out."""
        return self._stream.revision

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = self._portal.call(self._following)
        if event is None:
            raise StopIteration
        return event

    async def _following(self) -> Event | None:
        return await anext(self._events, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching."""
        self._portal.call(self._stream.close)


class KV:
    """The key-value store, as `AsyncKV`, blocking."""

    def __init__(self, portal: Portal, kv: AsyncKV) -> None:
        self._portal = portal
        self._kv = kv

    def get(
        self,
        key: Text,
        *,
        revision: int = 0,
        consistency: ReadConsistency = ReadConsistency.LINEARIZABLE,
    ) -> KeyValue | None:
        """Return a key's version, now or at `revision`; None when it is absent."""
        return self._portal.call(
            lambda: self._kv.get(key, revision=revision, consistency=consistency)
        )

    def range(
        self,
        start: Text = b"",
        end: Text = b"",
        *,
        prefix: Text | None = None,
        limit: int = 0,
        revision: int = 0,
        consistency: ReadConsistency = ReadConsistency.LINEARIZABLE,
    ) -> RangeResult:
        """Return one page of the keys in [start, end), or of those with a prefix, in order."""
        return self._portal.call(
            lambda: self._kv.range(
                start, end, prefix=prefix, limit=limit, revision=revision, consistency=consistency
            )
        )

    def query(
        self, query: Range, *, consistency: ReadConsistency = ReadConsistency.LINEARIZABLE
    ) -> RangeResult:
        """Return one page of a range with an order, filters or less content."""
        return self._portal.call(lambda: self._kv.query(query, consistency=consistency))

    def put(self, key: Text, value: Text, *, lease: int = 0) -> int:
        """Write one key and return the revision."""
        return self._portal.call(lambda: self._kv.put(key, value, lease=lease))

    def delete(self, key: Text) -> DeleteResult:
        """Delete one key."""
        return self._portal.call(lambda: self._kv.delete(key))

    def delete_range(self, start: Text, end: Text = b"") -> DeleteResult:
        """Delete the keys in [start, end); an empty `end` means no upper bound."""
        return self._portal.call(lambda: self._kv.delete_range(start, end))

    def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
    ) -> CommitResult:
        """If every condition holds do `then`, else `otherwise`, atomically."""
        return self._portal.call(lambda: self._kv.commit(when=when, then=then, otherwise=otherwise))

    def enqueue(self, prefix: Text, value: Text, *, lease: int = 0) -> Enqueued:
        """Create a new key under `prefix`, after every other that was enqueued there."""
        return self._portal.call(lambda: self._kv.enqueue(prefix, value, lease=lease))

    def watch(
        self,
        key: Text = b"",
        *,
        prefix: Text | None = None,
        end: Text | None = None,
        from_revision: int = 0,
        detail: WatchDetail = WatchDetail.EVENT,
    ) -> Events:
        """Watch a key, [key, end) or a prefix, from now or from a past revision on."""

        async def open_stream() -> EventStream:
            return self._kv.watch(
                key, prefix=prefix, end=end, from_revision=from_revision, detail=detail
            )

        return Events(self._portal, self._portal.call(open_stream))

    def grant(self, ttl: float) -> Grant:
        """Grant a lease of `ttl` seconds."""
        return self._portal.call(lambda: self._kv.grant(ttl))

    def keep_alive(self, lease: int) -> float:
        """Renew a lease and return its ttl in seconds."""
        return self._portal.call(lambda: self._kv.keep_alive(lease))

    def revoke(self, lease: int) -> None:
        """End a lease and delete its keys in one step."""
        self._portal.call(lambda: self._kv.revoke(lease))

    def time_to_live(self, lease: int) -> LeaseStatus:
        """Return what remains of a lease, and its keys."""
        return self._portal.call(lambda: self._kv.time_to_live(lease))

    def compact(self, revision: int) -> None:
        """Forget versions that were replaced at or before `revision`."""
        self._portal.call(lambda: self._kv.compact(revision))


class Client:
    """A blocking client of the store behind `url`, for any number of threads.

    `timeout` (seconds) bounds every call, over all retries and failovers. Close it when
    done, or use it as a context manager.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        tls: TlsConfig | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._portal = Portal()

        async def make() -> AsyncClient:
            return AsyncClient(url, tls=tls, timeout=timeout)

        try:
            self._client = self._portal.call(make)
        except BaseException:
            self._portal.close()
            raise
        self.url: str = self._client.url
        self.kv: KV = KV(self._portal, self._client.kv)

    def lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> SyncClaim:
        """Return a lock; others wait at most `ttl` seconds for a holder that died."""
        return SyncClaim(self._portal, self._make(lambda: self._client.lock(name, ttl=ttl)))

    def reentrant_lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> SyncClaim:
        """Return a lock that the thread that holds it may take again; the keys are `lock`'s."""
        made = self._make(lambda: self._client.reentrant_lock(name, ttl=ttl))
        return SyncClaim(self._portal, made)

    def semaphore(
        self, name: str, permits: int, *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> SyncSemaphore:
        """Return a semaphore: at most `permits` hold it at once, unless it was resized."""
        made = self._make(lambda: self._client.semaphore(name, permits, ttl=ttl))
        return SyncSemaphore(self._portal, made)

    def read_lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> SyncClaim:
        """Return the shared half of a read-write lock."""
        return SyncClaim(self._portal, self._make(lambda: self._client.read_lock(name, ttl=ttl)))

    def write_lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> SyncClaim:
        """Return the exclusive half of a read-write lock."""
        return SyncClaim(self._portal, self._make(lambda: self._client.write_lock(name, ttl=ttl)))

    def election(
        self, name: str, value: bytes | str = b"", *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> SyncElection:
        """Return an election in which this client may stand, with `value` for all to see."""
        made = self._make(lambda: self._client.election(name, value, ttl=ttl))
        return SyncElection(self._portal, made)

    def counter(self, name: str) -> SyncCounter:
        """Return a number that all share."""
        return SyncCounter(self._portal, self._make(lambda: self._client.counter(name)))

    def sequence(self, name: str, *, batch: int = BATCH) -> SyncSequence:
        """Return a source of ids that nobody else gets."""
        made = self._make(lambda: self._client.sequence(name, batch=batch))
        return SyncSequence(self._portal, made)

    def latch(self, name: str, count: int) -> SyncLatch:
        """Return a latch, which opens once it was counted down `count` times."""
        return SyncLatch(self._portal, self._make(lambda: self._client.latch(name, count)))

    def barrier(self, name: str) -> SyncBarrier:
        """Return a barrier: who comes waits while it is up."""
        return SyncBarrier(self._portal, self._make(lambda: self._client.barrier(name)))

    def double_barrier(
        self, name: str, parties: int, *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> SyncDoubleBarrier:
        """Return one party's part in a meeting of so many that enter and leave together."""
        made = self._make(lambda: self._client.double_barrier(name, parties, ttl=ttl))
        return SyncDoubleBarrier(self._portal, made)

    def queue(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> SyncQueue:
        """Return a queue; an element whose taker died is taken again after `ttl` seconds."""
        return SyncQueue(self._portal, self._make(lambda: self._client.queue(name, ttl=ttl)))

    def group(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> SyncGroup:
        """Return a group; a member that died is gone after its `ttl` seconds."""
        return SyncGroup(self._portal, self._make(lambda: self._client.group(name, ttl=ttl)))

    def registry(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> SyncRegistry:
        """Return a service by its name; an instance that died is gone after its `ttl` seconds."""
        made = self._make(lambda: self._client.registry(name, ttl=ttl))
        return SyncRegistry(self._portal, made)

    def rate_limiter(self, name: str, rate: float, burst: int = 1) -> SyncRateLimiter:
        """Return a limit of `rate` a second, `burst` at once at most, for all together."""
        made = self._make(lambda: self._client.rate_limiter(name, rate, burst))
        return SyncRateLimiter(self._portal, made)

    def config(self, name: str, default: Value) -> SyncConfig[Value]:
        """Return a configuration of the default's type, which counts until somebody writes."""
        return SyncConfig(self._portal, self._make(lambda: self._client.config(name, default)))

    def _make(self, function: Callable[[], Recipe]) -> Recipe:
        """Make a recipe in the loop's thread, where it belongs."""

        async def make() -> Recipe:
            return function()

        return self._portal.call(make)

    def close(self) -> None:
        """Revoke leases, end watches, close connections."""
        self._portal.call(self._client.close)
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

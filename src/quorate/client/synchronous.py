"""`Client`: the blocking face, a thin portal over `AsyncClient`. One thread per client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from quorate.client.asynchronous import TIMEOUT_SECONDS, AsyncClient
from quorate.client.kv import AsyncKV, EventStream, Text
from quorate.client.portal import Portal
from quorate.errors import LockLost
from quorate.recipes.claim import DEFAULT_TTL_SECONDS, Claim, HeldLock
from quorate.recipes.election import Election, Leader
from quorate.recipes.sharing import Semaphore
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


class SyncClaim:
    """A lock or its like, blocking. No thread can be cancelled: look at `held.lost`."""

    def __init__(self, portal: Portal, lock: Claim) -> None:
        self._portal = portal
        self._lock = lock

    def acquire(self, *, timeout: float | None = None) -> HeldLock:
        """Wait for the lock; raises LockTimeout when it was not free within `timeout` seconds."""
        return self._portal.call(lambda: self._lock.acquire(timeout=timeout))

    def try_acquire(self) -> HeldLock | None:
        """Take the lock if it is free now; None when it is not."""
        return self._portal.call(self._lock.try_acquire)

    def release(self) -> None:
        """Give the lock back."""
        self._portal.call(self._lock.release)

    def __enter__(self) -> HeldLock:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        held = self._lock.held
        self.release()
        if held is not None and held.lost and error is None:
            raise LockLost(
                f"the lock {held.name!r} (token {held.token}) was lost while it was held: "
                "what the body did last may have met another holder"
            )


class SyncSemaphore(SyncClaim):
    """A semaphore, blocking."""

    def __init__(self, portal: Portal, semaphore: Semaphore) -> None:
        super().__init__(portal, semaphore)
        self._semaphore = semaphore

    def resize(self, permits: int) -> None:
        """Let so many hold it from now on, whatever each user's own number says."""
        self._portal.call(lambda: self._semaphore.resize(permits))


class SyncElection(SyncClaim):
    """An election, blocking."""

    def __init__(self, portal: Portal, election: Election) -> None:
        super().__init__(portal, election)
        self._election = election

    def leader(self) -> Leader | None:
        """Return who leads now; None while nobody does."""
        return self._portal.call(self._election.leader)

    def proclaim(self, value: bytes | str) -> None:
        """Say something else of oneself; only while leading."""
        self._portal.call(lambda: self._election.proclaim(value))

    def observe(self) -> Iterator[Leader | None]:
        """Give the leader now, and each one to come; None while there is none."""
        leaders = self._election.observe()

        async def following() -> Leader | None:
            return await anext(leaders)

        try:
            while True:
                yield self._portal.call(following)
        finally:
            self._portal.call(leaders.aclose)


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
        return self._claim(lambda: self._client.lock(name, ttl=ttl))

    def semaphore(
        self, name: str, permits: int, *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> SyncSemaphore:
        """Return a semaphore: at most `permits` hold it at once, unless it was resized."""

        async def make() -> Semaphore:
            return self._client.semaphore(name, permits, ttl=ttl)

        return SyncSemaphore(self._portal, self._portal.call(make))

    def read_lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> SyncClaim:
        """Return the shared half of a read-write lock."""
        return self._claim(lambda: self._client.read_lock(name, ttl=ttl))

    def write_lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> SyncClaim:
        """Return the exclusive half of a read-write lock."""
        return self._claim(lambda: self._client.write_lock(name, ttl=ttl))

    def election(
        self, name: str, value: bytes | str = b"", *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> SyncElection:
        """Return an election in which this client may stand, with `value` for all to see."""

        async def make() -> Election:
            return self._client.election(name, value, ttl=ttl)

        return SyncElection(self._portal, self._portal.call(make))

    def _claim(self, function: Callable[[], Claim]) -> SyncClaim:
        async def make() -> Claim:
            return function()

        return SyncClaim(self._portal, self._portal.call(make))

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

"""`client.kv`: the key-value store with text welcome where bytes are meant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from quorate.store.port import Store, Watch
from quorate.store.types import (
    CommitResult,
    Compare,
    Delete,
    DeleteResult,
    Enqueued,
    Event,
    Get,
    Grant,
    KeyValue,
    LeaseStatus,
    Operation,
    Put,
    Range,
    RangeResult,
    ReadConsistency,
    WatchDetail,
    WatchRequest,
    prefix_end,
)

Text = str | bytes


def to_bytes(text: Text) -> bytes:
    """Encode text as UTF-8; bytes stay."""
    return text.encode() if isinstance(text, str) else text


def get(key: Text) -> Get:
    """A read for a commit."""
    return Get(to_bytes(key))


def put(key: Text, value: Text, *, lease: int = 0) -> Put:
    """A write for a commit."""
    return Put(to_bytes(key), to_bytes(value), lease)


def delete(key: Text) -> Delete:
    """A deletion for a commit."""
    return Delete(to_bytes(key))


class EventStream:
    """The events of a watch, one by one: `async for event in stream`.

    It is also an async context manager, which closes the watch at the end.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    @property
    def revision(self) -> int:
        """The last revision of which everything has been handed out."""
        return self._watch.revision

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for batch in self._watch:
            for event in batch.events:
                yield event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop watching."""
        await self._watch.close()


class AsyncKV:
    """The key-value store. Keys and values are text (UTF-8) or bytes; answers are bytes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(
        self,
        key: Text,
        *,
        revision: int = 0,
        consistency: ReadConsistency = ReadConsistency.LINEARIZABLE,
    ) -> KeyValue | None:
        """Return a key's version, now or at `revision`; None when it is absent."""
        return await self._store.get(to_bytes(key), revision=revision, consistency=consistency)

    async def range(
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
        if prefix is not None:
            start, end = prefix, prefix_end(to_bytes(prefix))
        query = Range(to_bytes(start), to_bytes(end), limit, revision)
        return await self._store.range(query, consistency=consistency)

    async def query(
        self, query: Range, *, consistency: ReadConsistency = ReadConsistency.LINEARIZABLE
    ) -> RangeResult:
        """Return one page of a range with an order, filters or less content."""
        return await self._store.range(query, consistency=consistency)

    async def put(self, key: Text, value: Text, *, lease: int = 0) -> int:
        """Write one key and return the revision."""
        return await self._store.put(to_bytes(key), to_bytes(value), lease=lease)

    async def delete(self, key: Text) -> DeleteResult:
        """Delete one key."""
        return await self._store.delete(to_bytes(key))

    async def delete_range(self, start: Text, end: Text = b"") -> DeleteResult:
        """Delete the keys in [start, end); an empty `end` means no upper bound."""
        return await self._store.delete_range(to_bytes(start), to_bytes(end))

    async def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
    ) -> CommitResult:
        """If every condition holds do `then`, else `otherwise`, atomically."""
        return await self._store.commit(when=when, then=then, otherwise=otherwise)

    async def enqueue(self, prefix: Text, value: Text, *, lease: int = 0) -> Enqueued:
        """Create a new key under `prefix`, after every other that was enqueued there."""
        return await self._store.enqueue(to_bytes(prefix), to_bytes(value), lease=lease)

    def watch(
        self,
        key: Text = b"",
        *,
        prefix: Text | None = None,
        end: Text | None = None,
        from_revision: int = 0,
        detail: WatchDetail = WatchDetail.EVENT,
    ) -> EventStream:
        """Watch a key, [key, end) or a prefix, from now or from a past revision on."""
        first = to_bytes(key if prefix is None else prefix)
        last = None if end is None else to_bytes(end)
        if prefix is not None:
            last = prefix_end(first)
        return EventStream(self._store.watch(WatchRequest(first, last, from_revision, detail)))

    async def grant(self, ttl: float) -> Grant:
        """Grant a lease of `ttl` seconds."""
        return await self._store.grant(ttl)

    async def keep_alive(self, lease: int) -> float:
        """Renew a lease and return its ttl in seconds."""
        return await self._store.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys in one step."""
        await self._store.revoke(lease)

    async def time_to_live(self, lease: int) -> LeaseStatus:
        """Return what remains of a lease, and its keys."""
        return await self._store.time_to_live(lease)

    async def compact(self, revision: int) -> None:
        """Forget versions that were replaced at or before `revision`."""
        await self._store.compact(revision)

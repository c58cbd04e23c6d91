"""The Store port: what every engine offers and every layer is written against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from quorate.store.types import (
    CommitResult,
    Compare,
    DeleteResult,
    Enqueued,
    Grant,
    KeyValue,
    LeaseStatus,
    Operation,
    Range,
    RangeResult,
    ReadConsistency,
    WatchBatch,
    WatchRequest,
)


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can do. What it can't it refuses with `UnsupportedByEngine`."""

    engine: str
    past_revisions: bool = True
    """Without, a watch goes on after a revision only if nothing has changed there since."""
    otherwise_branch: bool = True
    nested_commits: bool = True
    range_compare: bool = True
    ordered_compare: bool = True
    """Conditions other than equality."""
    reads_in_commits: bool = True
    range_deletes: bool = True
    """Deleting all keys of a range at once."""
    every_version: bool = True
    """A watch gives every version of a key; without, it may give the last of several only."""
    lease_changes: bool = True
    """A put may change which lease a key is attached to."""
    keys_under_keys: bool = True
    """A key may be what others begin with, up to a slash."""
    foreign_leases: bool = True
    """Leases that another client was granted can be renewed, ended and relied on."""
    stale_reads: bool = True
    exactly_once: bool = True
    """A write whose answer was lost is found out, and done once."""


class Watch(Protocol):
    """An open watch: iterate over its batches, close it when done.

    Batches come in order of revision, without loss or repetition, also over reconnects.
    Iteration raises `Compacted` when the history it would need is gone.
    """

    @property
    def revision(self) -> int:
        """The last revision of which everything has been handed out."""

    def __aiter__(self) -> AsyncIterator[WatchBatch]:
        """Iterate over batches; progress marks (batches without events) are included."""

    async def close(self) -> None:
        """Stop watching; iteration ends."""


class Store(Protocol):
    """An ordered key-value space with revisions, atomic commits, leases and watches.

    Every method raises `InvalidRequest` for input that makes no sense, `Unavailable` when
    nobody answered in time and nothing was changed, and (writes only) `OutcomeUnknown` when
    the write may have happened.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""

    @property
    def limits_value_bytes(self) -> int:
        """The largest value in bytes."""

    async def get(
        self,
        key: bytes,
        *,
        revision: int = 0,
        consistency: ReadConsistency = ReadConsistency.LINEARIZABLE,
    ) -> KeyValue | None:
        """Return the key's version, now or at `revision`; None when it is absent.

        Raises `Compacted` or `FutureRevision`.
        """

    async def range(
        self, query: Range, *, consistency: ReadConsistency = ReadConsistency.LINEARIZABLE
    ) -> RangeResult:
        """Return one page of a range. Raises `Compacted` or `FutureRevision`."""

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        """Write one key and return the revision. Raises `LeaseNotFound`, `QuotaExceeded`."""

    async def delete(self, key: bytes) -> DeleteResult:
        """Delete one key."""

    async def delete_range(self, start: bytes, end: bytes) -> DeleteResult:
        """Delete the keys in [start, end); an empty `end` means no upper bound."""

    async def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
    ) -> CommitResult:
        """Run one branch atomically. Raises what its operations raise; then nothing happened."""

    async def enqueue(self, prefix: bytes, value: bytes, *, lease: int = 0) -> Enqueued:
        """Create a new key under `prefix`, after every other that was enqueued there."""

    async def grant(self, ttl: float) -> Grant:
        """Grant a lease of `ttl` seconds; the engine may round, and says what it gave."""

    async def keep_alive(self, lease: int) -> float:
        """Renew a lease and return its ttl in seconds, counted from before the call was sent.

        Raises `LeaseNotFound`.
        """

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys in one step. Raises `LeaseNotFound`."""

    async def time_to_live(self, lease: int) -> LeaseStatus:
        """Return what remains of a lease, and its keys. Raises `LeaseNotFound`."""

    def watch(self, request: WatchRequest) -> Watch:
        """Watch a key or a range."""

    async def compact(self, revision: int) -> None:
        """Forget versions that were replaced at or before `revision`.

        Raises `Compacted` (already done) or `FutureRevision`.
        """

    async def close(self) -> None:
        """Close every watch and connection; further calls raise."""

"""What every part of the contract needs: a store, and keys that nobody else uses."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Final, TypeAlias
from uuid import uuid4

from quorate.store.port import Store, Watch
from quorate.store.types import KeyValue, Range, RangeResult, WatchBatch, prefix_range

PATIENCE_SECONDS: Final = 30.0
"""How long anything that must come may take; what is well never takes so long."""

Body: TypeAlias = Callable[[Store, bytes], Awaitable[None]]
"""A test: it gets a store, and the prefix of its own keys."""


class Contract:
    """Override `open`. The methods that pytest collects come with the parts."""

    _numbers: ClassVar = itertools.count(1)
    _run_id: ClassVar[bytes] = uuid4().hex[:8].encode()

    def open(self) -> AbstractAsyncContextManager[Store]:
        """Open the store under test, and close it afterwards."""
        raise NotImplementedError("a contract's subclass says how its store is opened")

    def check(self, body: Body) -> None:
        """Run a test on a store."""

        async def main() -> None:
            prefix = b"contract-%s/%d/" % (self._run_id, next(self._numbers))
            async with asyncio.timeout(2 * PATIENCE_SECONDS), self.open() as store:
                await body(store, prefix)

        asyncio.run(main())


async def following(watch: Watch, count: int) -> list[WatchBatch]:
    """Return the next `count` batches that have events."""
    batches: list[WatchBatch] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for batch in watch:
            if batch.events:
                batches.append(batch)
            if len(batches) == count:
                break
    return batches


async def found_at(store: Store, key: bytes) -> KeyValue:
    """Return a key that must be there."""
    found = await store.get(key)
    assert found is not None, f"{key!r} is absent"
    return found


async def under(store: Store, prefix: bytes) -> RangeResult:
    """Return the first page of what is under a prefix."""
    return await store.range(prefix_range(prefix))


async def until_gone(store: Store, key: bytes) -> None:
    """Wait until a key is absent."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await store.get(key) is not None:  # noqa: ASYNC110  the engine's own clock counts
            await asyncio.sleep(0.05)


def keys_of(found: RangeResult) -> list[bytes]:
    """Return the keys of a page, in its order."""
    return [item.key for item in found.items]


def a_range(prefix: bytes, limit: int = 0) -> Range:
    """Return the range of a prefix, with a limit (0: the store's own)."""
    plain = prefix_range(prefix)
    return Range(start=plain.start, end=plain.end, limit=limit)

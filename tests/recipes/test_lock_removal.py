"""A waiter leaves the queue for certain, whatever its own calls come to meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from quorate.engines.memory import MemoryStore
from quorate.errors import Unavailable
from quorate.recipes.claim import Turns, Workshop
from quorate.recipes.leases import LeaseKeeper
from quorate.recipes.lock import Lock
from quorate.runtime.scope import TaskScope
from quorate.runtime.world import RealClock
from quorate.store.types import CommitResult, Compare, DeleteResult, Operation, Range, prefix_end

QUEUE = Range(b"orders/", prefix_end(b"orders/"))


class RoughStore(MemoryStore):
    """One whose commits can be held back, and whose next writes can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.began = asyncio.Event()
        self.deletes = asyncio.Event()
        self.failures = 0

    async def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
    ) -> CommitResult:
        self.began.set()
        await self.open.wait()
        self._may_fail()
        return await super().commit(when=when, then=then, otherwise=otherwise)

    async def delete(self, key: bytes) -> DeleteResult:
        self._may_fail()
        try:
            return await super().delete(key)
        finally:
            self.deletes.set()

    def _may_fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("nobody is there")

    async def waiting(self) -> int:
        return len((await self.range(QUEUE)).items)


def maker(store: RoughStore) -> Lock:
    errors: list[BaseException] = []
    scope = TaskScope(lambda _, error: errors.append(error))
    clock = RealClock()
    workshop = Workshop(store, LeaseKeeper(store, clock, scope), Turns(), scope, clock)
    return Lock(workshop, "orders", ttl=60)


def test_a_waiter_that_is_cancelled_while_it_is_created_does_not_stay() -> None:
    async def body() -> None:
        store = RoughStore()
        store.open.clear()
        waiter = asyncio.ensure_future(maker(store).acquire())
        await store.began.wait()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        # Whatever was done before the creation would be done in vain.
        assert not store.deletes.is_set()
        store.open.set()
        await store.deletes.wait()
        assert await store.waiting() == 0

    asyncio.run(body())


def test_a_release_that_fails_is_made_good_while_the_lease_lives() -> None:
    async def body() -> None:
        store = RoughStore()
        lock = maker(store)
        await lock.acquire()
        store.failures = 3
        with pytest.raises(Unavailable):
            await lock.release()
        assert await store.waiting() == 1
        await store.deletes.wait()
        assert await store.waiting() == 0
        first = await lock.acquire()
        await lock.release()
        second = await lock.acquire()
        assert second.token > first.token

    asyncio.run(body())

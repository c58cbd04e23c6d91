"""Whoever gave up is not counted: its key goes for certain, whatever its own calls come to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from quorate.engines.memory import MemoryStore
from quorate.errors import LeaseNotFound, Unavailable
from quorate.recipes.barriers import DoubleBarrier
from quorate.recipes.claim import Turns, Workshop
from quorate.recipes.groups import Group
from quorate.recipes.leases import LeaseKeeper
from quorate.runtime.scope import TaskScope
from quorate.runtime.world import RealClock
from quorate.store.types import DeleteResult, Range, prefix_end

PATIENCE = 10
MEMBERS = Range(b"api/members/", prefix_end(b"api/members/"))
PARTIES = Range(b"meeting/parties/", prefix_end(b"meeting/parties/"))


class RoughStore(MemoryStore):
    """One whose puts can be held back, and whose next puts or deletes can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.began = asyncio.Event()
        self.deleted = asyncio.Event()
        self.failing_deletes = 0
        self.ended_leases = 0

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        self.began.set()
        await self.open.wait()
        if self.ended_leases:
            self.ended_leases -= 1
            raise LeaseNotFound("it ended while the write was on its way")
        return await super().put(key, value, lease=lease)

    async def delete(self, key: bytes) -> DeleteResult:
        if self.failing_deletes:
            self.failing_deletes -= 1
            raise Unavailable("nobody is there")
        result = await super().delete(key)
        self.deleted.set()
        return result

    async def count(self, query: Range) -> int:
        return len((await self.range(query)).items)

    async def reaches(self, query: Range, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.count(query) != count:  # noqa: ASYNC110  the store knows
                await asyncio.sleep(0)


@asynccontextmanager
async def workshop(store: RoughStore) -> AsyncIterator[Workshop]:
    errors: list[BaseException] = []
    scope = TaskScope(lambda _, error: errors.append(error))
    clock = RealClock()
    yield Workshop(store, LeaseKeeper(store, clock, scope), Turns(), scope, clock)
    await scope.close()
    assert not errors


def test_a_member_that_is_cancelled_while_it_joins_does_not_stay() -> None:
    async def body() -> None:
        store = RoughStore()
        async with workshop(store) as tools:
            store.open.clear()
            joining = asyncio.ensure_future(Group(tools, "api", ttl=60).join().__aenter__())
            await store.began.wait()
            joining.cancel()
            with pytest.raises(asyncio.CancelledError):
                await joining
            # Whatever was deleted before the key was written would be deleted in vain.
            assert not store.deleted.is_set()
            store.open.set()
            await store.deleted.wait()
            assert await store.count(MEMBERS) == 0

    asyncio.run(body())


def test_a_leaving_that_fails_is_made_good_while_the_lease_lives() -> None:
    async def body() -> None:
        store = RoughStore()
        async with workshop(store) as tools:
            with pytest.raises(Unavailable):
                async with Group(tools, "api", ttl=60).join():
                    store.failing_deletes = 3
            assert await store.count(MEMBERS) == 1
            await store.deleted.wait()
            assert await store.count(MEMBERS) == 0

    asyncio.run(body())


def test_a_member_whose_lease_ended_while_it_joined_joins_on_another() -> None:
    async def body() -> None:
        store = RoughStore()
        async with workshop(store) as tools:
            store.ended_leases = 1
            async with Group(tools, "api", ttl=60).join("here") as own:
                assert not own.lost
                await own.update("still here")
                assert await store.count(MEMBERS) == 1
            assert await store.count(MEMBERS) == 0

    asyncio.run(body())


def test_a_party_that_gave_up_is_not_counted_with_the_one_that_it_becomes() -> None:
    async def body() -> None:
        store = RoughStore()
        async with workshop(store) as tools:
            first, second = (DoubleBarrier(tools, "meeting", 3, ttl=60) for _ in range(2))
            entering = asyncio.ensure_future(first.enter())
            await store.reaches(PARTIES, 1)
            entering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await entering
            store.failing_deletes = 2
            with pytest.raises(Unavailable):
                # What it left behind is in the way until it is gone.
                await first.enter()
            await store.reaches(PARTIES, 0)
            both = [asyncio.ensure_future(each.enter()) for each in (first, second)]
            await store.reaches(PARTIES, 2)
            assert not any(each.done() for each in both)
            third = DoubleBarrier(tools, "meeting", 3, ttl=60)
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*both, third.enter())
                await asyncio.gather(first.leave(), second.leave(), third.leave())

    asyncio.run(body())

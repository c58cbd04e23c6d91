"""Registrations and views of a service while the store is away, and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from quorate.engines.memory import MemoryStore
from quorate.errors import Compacted, InvalidRequest, LimitExceeded, OutcomeUnknown, Unavailable
from quorate.recipes import Registry
from quorate.runtime.world import RealRandomness
from quorate.store.port import Watch
from quorate.store.types import (
    DeleteResult,
    Range,
    RangeResult,
    ReadConsistency,
    WatchBatch,
    WatchRequest,
    prefix_end,
)

from .test_lost_moments import workshop_on
from .test_registry import until

MEMBERS = Range(b"api/members/", prefix_end(b"api/members/"))


class FarStore(MemoryStore):
    """One that can be away, and whose next write can be done without its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.left = asyncio.Event()
        self.mute = False
        self.refused = 0

    def leave(self) -> None:
        self.away = True
        self.left.set()
        self.left = asyncio.Event()

    async def members(self) -> int:
        return len((await super().range(MEMBERS)).items)

    async def range(
        self, query: Range, *, consistency: ReadConsistency = ReadConsistency.LINEARIZABLE
    ) -> RangeResult:
        self._answer()
        return await super().range(query, consistency=consistency)

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        self._answer()
        revision = await super().put(key, value, lease=lease)
        if self.mute:
            raise OutcomeUnknown("it was written, but nobody knows")
        return revision

    async def delete(self, key: bytes) -> DeleteResult:
        self._answer()
        return await super().delete(key)

    def watch(self, request: WatchRequest) -> Watch:  # type: ignore[override]  # the port's, as everywhere
        return GapWatch(super().watch(request), self.left)

    def _answer(self) -> None:
        if self.away:
            self.refused += 1
            raise Unavailable("nobody is there")


class GapWatch:
    """A watch whose history is gone as soon as the store goes away."""

    def __init__(self, watch: Watch, left: asyncio.Event) -> None:
        self._watch = watch
        self._left = left

    @property
    def revision(self) -> int:
        return self._watch.revision

    async def __aiter__(self) -> AsyncIterator[WatchBatch]:
        ending = asyncio.ensure_future(self._end())
        try:
            async for batch in self._watch:
                yield batch
        finally:
            ending.cancel()
        raise Compacted("what happened meanwhile is not kept")

    async def close(self) -> None:
        await self._watch.close()

    async def _end(self) -> None:
        await self._left.wait()
        await self._watch.close()


def registry_on(store: MemoryStore, ttl: float = 60) -> Registry:
    return Registry(workshop_on(store), RealRandomness(), "api", ttl=ttl)


def test_a_view_answers_from_what_it_knew_and_learns_what_it_missed() -> None:
    async def body() -> None:
        store = FarStore()
        registry = registry_on(store)
        async with registry.register("h:1"), registry.view() as view:
            store.leave()
            await until(lambda: store.refused > 1)
            assert view.pick().port == 1
            store.away = False
            async with registry.register("h:2"):
                await until(lambda: len(view.instances) == 2)
                store.leave()
                await until(lambda: store.refused > 2)
                await MemoryStore.delete_range(store, MEMBERS.start, MEMBERS.end)
                assert len(view.instances) == 2
                store.away = False
                await until(lambda: not view.instances)

    asyncio.run(body())


def test_whoever_leaves_while_the_store_is_away_is_gone_when_that_is_back() -> None:
    async def body() -> None:
        store = FarStore()

        async def come_back() -> None:
            await until(lambda: store.refused > 1)
            assert await store.members() == 1
            store.away = False

        async with registry_on(store).register("h:1"):
            store.leave()
            coming = asyncio.ensure_future(come_back())
        await coming
        assert await store.members() == 0

    asyncio.run(body())


def test_whoever_is_cancelled_while_it_leaves_is_gone_all_the_same() -> None:
    async def body() -> None:
        store = FarStore()

        async def serve() -> None:
            async with registry_on(store).register("h:1"):
                store.leave()

        serving = asyncio.ensure_future(serve())
        await until(lambda: store.refused > 1)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        store.away = False
        async with asyncio.timeout(10):
            while await store.members():  # noqa: ASYNC110  it is removed in the background
                await asyncio.sleep(0.01)

    asyncio.run(body())


def test_a_registration_that_may_have_been_made_is_not_left_behind() -> None:
    async def body() -> None:
        store = FarStore()
        store.mute = True
        with pytest.raises(OutcomeUnknown):
            await registry_on(store).register("h:1").__aenter__()
        async with asyncio.timeout(10):
            while await store.members():  # noqa: ASYNC110  as above
                await asyncio.sleep(0.01)

    asyncio.run(body())


def test_an_instance_that_can_not_be_withdrawn_or_brought_back_is_tried_again() -> None:
    async def body() -> None:
        store = FarStore()
        well = True

        async def check() -> bool:
            return well

        async with registry_on(store).register("h:1", check=check, interval=0.02) as own:
            for wanted in (False, True):
                refused = store.refused
                store.away = True
                well = wanted
                await until(lambda: store.refused > refused + 1)  # noqa: B023  it is called here
                assert own.registered is not wanted
                store.away = False
                await until(lambda: own.registered is wanted)  # noqa: B023  as above
                assert await store.members() == int(wanted)

    asyncio.run(body())


def test_what_is_too_much_is_refused_although_the_store_is_not_asked() -> None:
    async def body() -> None:
        store = FarStore()

        async def check() -> bool:
            return False

        async with registry_on(store).register("h:1", check=check) as own:
            with pytest.raises(LimitExceeded):
                await own.update(metadata={"large": "x" * store.limits_value_bytes})
            assert own.instance.metadata == {}
            with pytest.raises(InvalidRequest):
                await own.update(weight=-1)

    asyncio.run(body())

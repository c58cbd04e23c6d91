"""The memory engine: the Store port in one process, with leases that really end."""

from __future__ import annotations

import asyncio

import pytest

from quorate.engines.memory import MemoryStore
from quorate.errors import (
    Compacted,
    FutureRevision,
    InvalidRequest,
    LeaseNotFound,
    LimitExceeded,
    QuotaExceeded,
)
from quorate.store import (
    Commit,
    CommitResult,
    DeleteResult,
    EventKind,
    Get,
    KeyValue,
    Limits,
    Put,
    Range,
    Store,
    Watch,
    WatchBatch,
    WatchRequest,
    prefix_end,
    prefix_range,
    version,
)

from .virtual_time import VirtualClock, run


def store_on(clock: VirtualClock, limits: Limits | None = None) -> MemoryStore:
    return MemoryStore(clock=clock, limits=limits)


async def following(watch: Watch, count: int) -> list[WatchBatch]:
    batches: list[WatchBatch] = []
    async for batch in watch:
        batches.append(batch)
        if len(batches) == count:
            break
    return batches


def test_it_is_a_store() -> None:
    async def main() -> None:
        store: Store = MemoryStore()
        watch: Watch = store.watch(WatchRequest(b"k"))
        assert watch.revision == 1
        assert store.capabilities.engine == "memory"
        assert store.limits_value_bytes == Limits().value_bytes
        await store.close()

    asyncio.run(main())


def test_the_calls_of_the_port() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        assert await store.put(b"a", b"1") == 2
        assert await store.get(b"a") == KeyValue(b"a", b"1", 2, 2, 1)
        assert await store.put(b"a", b"2") == 3
        assert await store.get(b"a", revision=2) == KeyValue(b"a", b"1", 2, 2, 1)
        assert await store.get(b"b") is None
        result = await store.commit(
            when=[version("b") == 0],
            then=[Put(b"b", b""), Get(b"b"), Commit(then=(Put(b"c", b""),))],
            otherwise=[Get(b"a")],
        )
        nested = CommitResult(succeeded=True, revision=4, results=(4,))
        assert result.results == (4, KeyValue(b"b", b"", 4, 4, 1), nested)
        page = await store.range(Range(limit=2))
        assert ([item.key for item in page.items], page.count, page.more) == ([b"a", b"b"], 3, True)
        assert await store.delete(b"a") == DeleteResult(1, 5)
        assert await store.delete_range(b"b", b"") == DeleteResult(2, 6)
        entry = await store.enqueue(b"q/", b"x")
        assert (await store.range(prefix_range(b"q/"))).items[0].key == entry.key
        await store.compact(4)
        await store.close()

    run(main)


def test_refusals_are_errors() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock, Limits(value_bytes=10, quota_bytes=500))
        with pytest.raises(InvalidRequest):
            await store.put(b"", b"")
        with pytest.raises(LimitExceeded):
            await store.put(b"k", bytes(11))
        with pytest.raises(LeaseNotFound):
            await store.put(b"k", b"", lease=4)
        with pytest.raises(FutureRevision):
            await store.get(b"k", revision=9)
        with pytest.raises(InvalidRequest):
            await store.put("text", b"")  # type: ignore[arg-type]  # the mistake under test
        with pytest.raises(InvalidRequest):
            await store.put(b"k", b"", lease=2**70)
        await store.put(b"k", b"")
        await store.put(b"k", b"")
        await store.compact(3)
        with pytest.raises(Compacted) as caught:
            await store.get(b"k", revision=2)
        assert caught.value.compact_revision == 3
        await store.put(b"l", b"")
        await store.put(b"m", b"")
        with pytest.raises(QuotaExceeded):
            await store.put(b"n", b"")
        await store.close()
        with pytest.raises(InvalidRequest):
            await store.get(b"k")

    run(main)


def test_a_lease_ends_by_itself_and_takes_its_keys_along() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        watch = store.watch(WatchRequest(b"k"))
        lease = await store.grant(10.0)
        assert lease.ttl == 10.0
        await store.put(b"k", b"", lease=lease.id)
        await asyncio.sleep(6)
        assert await store.keep_alive(lease.id) == 10.0
        await asyncio.sleep(6)
        status = await store.time_to_live(lease.id)
        assert (status.ttl, round(status.remaining, 3), status.keys) == (10.0, 4.0, (b"k",))
        put, deleted = await following(watch, 2)
        assert [put.events[0].kind, deleted.events[0].kind] == [EventKind.PUT, EventKind.DELETE]
        assert 16.0 <= clock.now < 16.01
        for call in (store.keep_alive, store.time_to_live, store.revoke):
            with pytest.raises(LeaseNotFound):
                await call(lease.id)
        await store.close()

    run(main)


def test_a_lease_that_is_kept_alive_lives_on_past_its_checkpoints() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        lease = await store.grant(1000.0)
        for _ in range(10):
            await asyncio.sleep(900)
            assert await store.keep_alive(lease.id) == 1000.0
        await asyncio.sleep(999)
        assert (await store.time_to_live(lease.id)).remaining > 0.9
        await asyncio.sleep(2)
        with pytest.raises(LeaseNotFound):
            await store.time_to_live(lease.id)

    run(main)


def test_a_ttl_is_brought_within_the_limits() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        assert (await store.grant(0.01)).ttl == 1.0
        assert (await store.grant(1e12)).ttl == Limits().lease_ttl_max
        await store.close()

    run(main)


def test_revoking_deletes_at_one_revision() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        lease = await store.grant(5.0)
        for key in (b"a", b"b"):
            await store.put(key, b"", lease=lease.id)
        watch = store.watch(WatchRequest(b"", b""))
        await store.revoke(lease.id)
        (batch,) = await following(watch, 1)
        assert [event.kv.key for event in batch.events] == [b"a", b"b"]
        await store.close()

    run(main)


def test_a_watch_starts_where_it_is_opened_and_ends_when_it_is_closed() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        await store.put(b"k", b"before")
        now = store.watch(WatchRequest(b"k"))
        past = store.watch(WatchRequest(b"k", prefix_end(b"k"), from_revision=1))
        await store.put(b"k", b"after")
        assert [batch.revision for batch in await following(now, 1)] == [3]
        assert now.revision == 3
        assert [batch.revision for batch in await following(past, 2)] == [2, 3]
        waiting = asyncio.ensure_future(following(now, 1))
        await asyncio.sleep(0)
        await now.close()
        assert await waiting == []
        await store.close()
        assert await following(past, 1) == []

    run(main)


def test_an_idle_watch_is_told_how_far_it_is() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        watch = store.watch(WatchRequest(b"k"))
        for _ in range(3):
            await store.put(b"other", b"")
        assert await following(watch, 1) == [WatchBatch(4)]
        assert clock.now >= 10.0
        await store.put(b"k", b"")
        assert [batch.revision for batch in await following(watch, 1)] == [5]
        await store.close()

    run(main)


def test_a_cancelled_wait_loses_nothing() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        watch = store.watch(WatchRequest(b"k"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(following(watch, 1), 1.0)
        waiting = asyncio.ensure_future(following(watch, 1))
        await asyncio.sleep(0)
        await store.put(b"k", b"")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert [batch.revision for batch in await following(watch, 1)] == [2]
        await store.close()

    run(main)


def test_a_watch_from_a_compacted_revision_says_so_once() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        await store.put(b"k", b"")
        await store.put(b"k", b"")
        behind = store.watch(WatchRequest(b"k", from_revision=2))
        await store.compact(3)
        late = store.watch(WatchRequest(b"k", from_revision=2))
        for watch in (behind, late):
            with pytest.raises(Compacted) as caught:
                await following(watch, 1)
            assert caught.value.compact_revision == 3
            assert await following(watch, 1) == []
        await store.close()

    run(main)


def test_history_goes_after_its_time() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        for _ in range(3):
            await store.put(b"k", b"")
        await asyncio.sleep(200)
        await store.put(b"k", b"")
        assert await store.get(b"k", revision=2) is not None
        await asyncio.sleep(101)
        with pytest.raises(Compacted):
            await store.get(b"k", revision=1)
        assert await store.get(b"k", revision=4) is not None
        await store.close()

    run(main)


def test_history_never_fills_the_quota() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock, Limits(quota_bytes=200_000))
        for _ in range(5000):
            await store.put(b"k", bytes(100))
        with pytest.raises(Compacted):
            await store.get(b"k", revision=2)
        await store.close()

    run(main)


def test_a_named_state_is_shared_and_a_private_one_is_not() -> None:
    async def main() -> None:
        one, two = MemoryStore.named("shared"), MemoryStore.named("shared")
        other, private = MemoryStore.named("other"), MemoryStore()
        watch = two.watch(WatchRequest(b"k"))
        await one.put(b"k", b"v")
        assert [batch.revision for batch in await following(watch, 1)] == [2]
        assert await other.get(b"k") is None
        assert await private.get(b"k") is None
        await one.close()
        found = await two.get(b"k")
        assert found is not None
        assert found.value == b"v"
        for store in (two, other, private):
            await store.close()

    asyncio.run(main())
    # Another loop has states of its own.
    asyncio.run(main())


def test_every_watch_of_one_key_gets_every_event() -> None:
    async def main(clock: VirtualClock) -> None:
        store = store_on(clock)
        opened = [store.watch(WatchRequest(b"k")) for _ in range(20)]
        tasks = [asyncio.ensure_future(following(watch, 50)) for watch in opened]
        for _ in range(50):
            await store.put(b"k", b"")
            await asyncio.sleep(0)
        for found in [await task for task in tasks]:
            assert [batch.revision for batch in found] == list(range(2, 52))
        await store.close()

    run(main)

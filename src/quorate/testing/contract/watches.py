"""The contract of watches: every change that was asked for, once, in order."""

from __future__ import annotations

import asyncio

import pytest

from quorate.errors import Compacted, UnsupportedByEngine
from quorate.store.port import Store, Watch
from quorate.store.types import (
    Delete,
    Event,
    EventKind,
    Put,
    WatchBatch,
    WatchDetail,
    WatchRequest,
    prefix_end,
)
from quorate.testing.contract.base import PATIENCE_SECONDS, Contract, following, under


class WatchContract(Contract):
    """What a watch delivers."""

    def test_a_watch_delivers_what_comes_after_it_was_opened(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            before = await store.put(key, b"before")
            watch = await opened(store, WatchRequest(key), before)
            put = await store.put(key, b"after")
            deleted = (await store.delete(key)).revision
            first, second = await following(watch, 2)
            assert (first.revision, second.revision) == (put, deleted)
            (event,) = first.events
            assert (event.kind, event.kv.key, event.kv.value) == (EventKind.PUT, key, b"after")
            (event,) = second.events
            assert (event.kind, event.kv.key, event.kv.version) == (EventKind.DELETE, key, 0)
            await watch.close()

        self.check(body)

    def test_a_watch_on_a_prefix_delivers_its_keys_and_no_others(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            own = prefix + b"own/"
            before = await store.put(prefix + b"other", b"")
            watch = await opened(store, WatchRequest(own, prefix_end(own)), before)
            for key in (own + b"a", prefix + b"owm", own + b"b", prefix + b"zzz", own + b"c"):
                await store.put(key, b"")
            events = await events_of(watch, 3)
            assert [event.kv.key for event in events] == [own + b"a", own + b"b", own + b"c"]
            await watch.close()

        self.check(body)

    def test_a_watch_from_a_past_revision_delivers_what_was_since(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            revisions = [await store.put(key, b"%d" % number) for number in range(5)]
            request = WatchRequest(key, from_revision=revisions[2])
            if not store.capabilities.past_revisions:
                with pytest.raises(Compacted, match=store.capabilities.engine) as caught:
                    await following(store.watch(request), 1)
                assert caught.value.compact_revision >= revisions[-1]
                return
            watch = store.watch(request)
            batches = await following(watch, 3)
            assert [batch.revision for batch in batches] == revisions[2:]
            await watch.close()

        self.check(body)

    def test_a_watch_from_what_was_read_misses_nothing(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            for number in range(3):
                await store.put(prefix + b"%d" % number, b"")
            found = await under(store, prefix)
            request = WatchRequest(prefix, prefix_end(prefix), found.revision + 1)
            watch = store.watch(request)
            put = await store.put(prefix + b"3", b"")
            if store.capabilities.past_revisions:
                (batch,) = await following(watch, 1)
                assert batch.revision == put
            else:
                # If it had not begun yet, it says so.
                assert await told_of(watch, put)
            await watch.close()

        self.check(body)

    def test_all_of_one_revision_comes_together(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            before = await store.put(prefix + b"b", b"")
            request = WatchRequest(prefix, prefix_end(prefix))
            watch = await opened(store, request, before)
            await store.commit(
                then=[Put(prefix + b"a", b"1"), Delete(prefix + b"b"), Put(prefix + b"c", b"3")]
            )
            (batch,) = await following(watch, 1)
            kinds = {event.kv.key: event.kind for event in batch.events}
            assert kinds == {
                prefix + b"a": EventKind.PUT,
                prefix + b"b": EventKind.DELETE,
                prefix + b"c": EventKind.PUT,
            }
            await watch.close()

        self.check(body)

    def test_a_watch_can_say_what_was_there_before(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            before = await store.put(key, b"old")
            request = WatchRequest(key, detail=WatchDetail.PREVIOUS)
            if not store.capabilities.past_revisions:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await following(store.watch(request), 1)
                return
            watch = await opened(store, request, before)
            await store.put(key, b"new")
            await store.delete(key)
            events = await events_of(watch, 2)
            previous = [event.previous.value for event in events if event.previous is not None]
            assert previous == [b"old", b"new"]
            await watch.close()

        self.check(body)

    def test_the_end_of_a_lease_is_seen(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            grant = await store.grant(60.0)
            put = await store.put(prefix + b"a", b"", lease=grant.id)
            watch = await opened(store, WatchRequest(prefix + b"a"), put)
            await store.revoke(grant.id)
            (event,) = await events_of(watch, 1)
            assert event.kind is EventKind.DELETE
            await watch.close()

        self.check(body)

    def test_a_watch_that_is_closed_ends(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            watch = store.watch(WatchRequest(prefix + b"a"))
            waiting = asyncio.ensure_future(following(watch, 1))
            await asyncio.sleep(0)
            await watch.close()
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await waiting == []

        self.check(body)

    def test_many_watches_of_one_key_get_every_event(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            before = await store.put(key, b"")
            watches = [await opened(store, WatchRequest(key), before) for _ in range(5)]
            revisions = [await store.put(key, b"%d" % number) for number in range(20)]
            for watch in watches:
                seen = await until_revision(watch, revisions[-1])
                if store.capabilities.every_version:
                    assert seen == revisions
                else:
                    assert seen == sorted(set(seen) & set(revisions))
                await watch.close()

        self.check(body)

    def test_history_that_was_compacted_is_refused_and_not_left_out(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            first = await store.put(key, b"1")
            last = await store.put(key, b"2")
            if not store.capabilities.past_revisions:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await store.compact(last)
                return
            await store.compact(last)
            with pytest.raises(Compacted) as caught:
                await following(store.watch(WatchRequest(key, from_revision=first)), 1)
            assert caught.value.compact_revision >= last
            with pytest.raises(Compacted):
                await store.get(key, revision=first)

        self.check(body)


async def opened(store: Store, request: WatchRequest, revision: int) -> Watch:
    """Open a watch that begins right after `revision`, whenever the engine hears of it."""
    if store.capabilities.past_revisions:
        since = WatchRequest(request.key, request.end, revision + 1, request.detail)
        return store.watch(since)
    watch = store.watch(request)
    await begun(watch, revision)
    return watch


async def begun(watch: Watch, revision: int) -> None:
    """Wait until a watch has begun, after `revision`."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while watch.revision < revision:  # noqa: ASYNC110  the engine's own clock counts
            await asyncio.sleep(0.01)


async def until_revision(watch: Watch, revision: int) -> list[int]:
    """Return the revisions that a watch gives, up to one that it must give."""
    seen: list[int] = []
    while not seen or seen[-1] < revision:
        batches = await following(watch, 1)
        assert batches, "the watch ended"
        seen.append(batches[0].revision)
    return seen


async def told_of(watch: Watch, revision: int) -> bool:
    """Whether a watch gives a revision, or says that it can't."""
    try:
        (batch,) = await following(watch, 1)
    except Compacted as error:
        return error.compact_revision >= revision
    return batch.revision == revision


async def events_of(watch: Watch, count: int) -> list[Event]:
    """Return the next events, of as many batches as it takes."""
    events: list[Event] = []
    while len(events) < count:
        batches: list[WatchBatch] = await following(watch, 1)
        assert batches, "the watch ended"
        events.extend(batches[0].events)
    return events

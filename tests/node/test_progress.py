"""A watch to which nothing happens hears how far it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.node.conversation import introduce, serving

import quorate
from quorate.engines.cluster import ClusterStore
from quorate.kv.requests import OpenWatch, WatchEvents, WatchOpened, encode
from quorate.store.types import WatchRequest


def test_an_idle_watch_is_told_the_revision_on_the_wire(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as node:
            watcher = await introduce(node)
            watcher.connection.send(encode(OpenWatch(5, WatchRequest(b"quiet"))))
            assert isinstance(await watcher.responses.get(), WatchOpened)
            async with quorate.AsyncClient(f"quorate://{node.config.address}") as client:
                revision = await client.kv.put("loud", "x")
            async with asyncio.timeout(20):
                reached = 0
                while reached < revision:
                    told = await watcher.responses.get()
                    assert isinstance(told, WatchEvents)
                    ((watch, batch),) = told.batches
                    assert (watch, batch.events) == (5, ())
                    reached = batch.revision
            assert reached == revision, "never ahead of what was applied"
            await watcher.close()

    asyncio.run(body())


def test_marks_pile_up_nowhere_and_show_in_the_revision(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as node:
            store = ClusterStore([node.config.address])
            watch = store.watch(WatchRequest(b"quiet"))
            await watch.opened.wait()
            for _ in range(2):
                revision = await store.put(b"loud", b"x")
                async with asyncio.timeout(20):
                    while watch.revision < revision:  # noqa: ASYNC110  nobody reads, nothing tells
                        await asyncio.sleep(0.05)
            last = await store.put(b"quiet", b"x")
            batches = []
            async for batch in watch:
                batches.append(batch)
                if batch.events:
                    break
            # One mark waited at most, and the event follows it.
            assert len(batches) <= 2
            assert batches[-1].revision == watch.revision == last
            await store.close()

    asyncio.run(body())

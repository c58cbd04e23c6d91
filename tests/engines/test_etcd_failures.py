"""The etcd engine while servers fail: locks stay exclusive, watches complete, words honest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.engines.etcd import EtcdStore
from quorate.errors import Compacted, InvalidRequest
from quorate.store.types import Put, WatchRequest

from .etcd_servers import EtcdServers
from .test_server_failures import put_for_certain

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
STILL_SECONDS = 30.0
"""Far below the minute after which the pings of gRPC would find out."""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[EtcdServers]:
    with EtcdServers(tmp_path) as started:
        yield started


def test_a_watch_goes_on_at_another_server_and_leaves_nothing_out(servers: EtcdServers) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(servers.url) as client:
            revision = await client.kv.put("before", "")
            stream = client.kv.watch(prefix="k/", from_revision=revision + 1)
            seen: list[str] = []

            async def listen() -> None:
                async for event in stream:
                    seen.append(event.kv.key.decode())
                    if event.kv.key == b"k/end":
                        return

            listening = asyncio.ensure_future(listen())
            for server in range(servers.count):
                servers.kill(server)
                await put_for_certain(client, f"k/{server}", "")
                servers.start(server)
                await servers.ready()
            await put_for_certain(client, "k/end", "")
            async with asyncio.timeout(60):
                await listening
        # What had to be written twice is seen twice.
        assert list(dict.fromkeys(seen)) == ["k/0", "k/1", "k/2", "k/end"]

    asyncio.run(body())


def test_a_watch_leaves_a_server_that_stands_still(servers: EtcdServers) -> None:
    async def body() -> None:
        async with (
            quorate.AsyncClient(servers.url) as watcher,
            quorate.AsyncClient(f"etcd://{servers.addresses[1]}") as writer,
        ):
            revision = await watcher.kv.put("before", "")
            stream = aiter(watcher.kv.watch("k", from_revision=revision + 1))
            await put_for_certain(writer, "k", "seen")
            first = await anext(stream)
            assert first.kv.value == b"seen"
            # Its connections stay, and nothing on them ever ends.
            servers.pause(0)
            await put_for_certain(writer, "k", "seen too")
            async with asyncio.timeout(STILL_SECONDS):
                while (await anext(stream)).kv.value != b"seen too":
                    continue
            servers.resume(0)

    asyncio.run(body())


def test_what_was_compacted_says_up_to_where(servers: EtcdServers) -> None:
    async def body() -> None:
        store = EtcdStore(servers.addresses)
        first = await store.put(b"k", b"1")
        last = await store.put(b"k", b"2")
        await store.compact(last)
        with pytest.raises(Compacted) as caught:
            await store.get(b"k", revision=first)
        assert caught.value.compact_revision == last
        with pytest.raises(Compacted) as caught:
            async for _ in store.watch(WatchRequest(b"k", from_revision=first)):
                pass
        assert caught.value.compact_revision == last
        await store.close()

    asyncio.run(body())


def test_two_writes_of_one_key_in_a_commit_are_refused_as_etcd_refuses_them(
    servers: EtcdServers,
) -> None:
    async def body() -> None:
        store = EtcdStore(servers.addresses)
        with pytest.raises(InvalidRequest, match="duplicate key"):
            await store.commit(then=[Put(b"k", b"1"), Put(b"k", b"2")])
        await store.close()

    asyncio.run(body())

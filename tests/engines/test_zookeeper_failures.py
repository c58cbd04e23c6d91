"""The ZooKeeper engine while servers fail: locks stay exclusive, watches complete, words honest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.codecs.zookeeper.records import Operation
from quorate.engines.zookeeper import ZooKeeperStore
from quorate.engines.zookeeper.connection import Request

from .test_server_failures import put_for_certain
from .zookeeper_servers import HOW_TO_GET, ZooKeeperServers, installed

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not installed(), reason=HOW_TO_GET),
]
PATIENCE = 60


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[ZooKeeperServers]:
    with ZooKeeperServers(tmp_path) as started:
        yield started


def test_a_session_that_was_ended_at_the_server_cancels_the_body(
    servers: ZooKeeperServers,
) -> None:
    async def body() -> None:
        async with (
            quorate.AsyncClient(servers.url) as client,
            quorate.AsyncClient(servers.url) as other,
        ):
            started = asyncio.Event()

            async def hold() -> None:
                async with client.lock("orders", ttl=3):
                    started.set()
                    await asyncio.sleep(PATIENCE)

            holding = asyncio.ensure_future(hold())
            await started.wait()
            assert isinstance(client.store, ZooKeeperStore)
            for lease in client.store._leases.ids:
                await client.store._leases.get(lease).session.ask(
                    [Request(Operation.CLOSE_SESSION, b"")], PATIENCE
                )
            async with other.lock("orders", ttl=3) as held:
                held.check()
                with pytest.raises(quorate.LockLost):
                    await holding

    asyncio.run(body())


def test_a_watch_goes_on_at_another_server_and_misses_no_key(servers: ZooKeeperServers) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(servers.url) as client:
            await client.kv.put("k/gone", "")
            stream = client.kv.watch(prefix="k/")
            seen: dict[str, bool] = {}
            revisions: list[int] = []

            async def listen() -> None:
                async for event in stream:
                    seen[event.kv.key.decode()] = not event.kind
                    revisions.append(event.kv.mod_revision)
                    if event.kv.key == b"k/end":
                        return

            listening = asyncio.ensure_future(listen())
            async with asyncio.timeout(PATIENCE):
                while not stream.revision:  # noqa: ASYNC110  it begins when the server says so
                    await asyncio.sleep(0.01)
            for server in range(servers.count):
                servers.kill(server)
                await put_for_certain(client, f"k/{server}", "")
                servers.start(server)
                await servers.ready()
            await client.kv.delete("k/gone")
            await put_for_certain(client, "k/end", "")
            async with asyncio.timeout(PATIENCE):
                await listening
            assert seen == {
                "k/0": True,
                "k/1": True,
                "k/2": True,
                "k/gone": False,
                "k/end": True,
            }
            assert revisions == sorted(revisions)

    asyncio.run(body())

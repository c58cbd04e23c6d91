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
from quorate.errors import OutcomeUnknown, Unavailable

from .zookeeper_servers import HOW_TO_GET, ZooKeeperServers, installed

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not installed(), reason=HOW_TO_GET),
]
SERVERS = 3
PATIENCE = 60


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[ZooKeeperServers]:
    started = ZooKeeperServers(tmp_path, SERVERS)
    started.start_all()
    try:
        asyncio.run(started.ready())
        yield started
    finally:
        started.kill_all()


async def put_for_certain(client: quorate.AsyncClient, key: str, value: str) -> None:
    """Write until it is known to have happened; twice is as good as once here."""
    while True:
        try:
            await client.kv.put(key, value)
        except (OutcomeUnknown, Unavailable):
            continue
        return


def test_a_lock_survives_the_death_of_any_one_server(servers: ZooKeeperServers) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(servers.url) as client:
            tokens = []
            for server in range(SERVERS):
                async with client.lock("orders", ttl=20) as held:
                    servers.kill(server)
                    await put_for_certain(client, "in-the-lock", str(server))
                    held.check()
                    tokens.append(held.token)
                servers.start(server)
                await servers.ready()
            assert tokens == sorted(set(tokens))

    asyncio.run(body())


def test_a_session_that_is_lost_cancels_the_body(servers: ZooKeeperServers) -> None:
    async def body() -> None:
        client = quorate.AsyncClient(servers.url, timeout=2.0)
        started = asyncio.Event()

        async def hold() -> None:
            async with client.lock("orders", ttl=3):
                started.set()
                await asyncio.sleep(PATIENCE)

        holding = asyncio.ensure_future(hold())
        await started.wait()
        # Their majority is gone, and the session with it as far as anybody can tell.
        servers.kill(0)
        servers.kill(1)
        with pytest.raises(quorate.LockLost):
            await holding
        await client.close()

    asyncio.run(body())


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


def test_two_clients_never_hold_one_lock_while_servers_come_and_go(
    servers: ZooKeeperServers,
) -> None:
    async def body() -> None:
        inside = 0
        count = 0

        async def add(client: quorate.AsyncClient) -> None:
            nonlocal inside, count
            while count < 60:
                try:
                    async with client.lock("counter", ttl=20):
                        inside += 1
                        assert inside == 1
                        await asyncio.sleep(0.001)
                        count += 1
                        inside -= 1
                except (OutcomeUnknown, Unavailable):
                    continue

        async with (
            quorate.AsyncClient(servers.url) as one,
            quorate.AsyncClient(servers.url) as two,
        ):
            adding = asyncio.gather(add(one), add(two))
            servers.kill(0)
            servers.start(0)
            await servers.ready()
            servers.pause(1)
            async with asyncio.timeout(PATIENCE):
                await adding
            servers.resume(1)
        assert count >= 60

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
            for server in range(SERVERS):
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


def test_without_a_majority_a_write_says_what_is_known_of_it(servers: ZooKeeperServers) -> None:
    async def body() -> None:
        store = ZooKeeperStore(servers.addresses, timeout=2.0)
        await store.put(b"k", b"before")
        servers.kill_all()
        with pytest.raises(Unavailable):
            await store.get(b"k")
        with pytest.raises((Unavailable, OutcomeUnknown)):
            await store.put(b"k", b"after")
        await store.close()

    asyncio.run(body())

"""Engines of other projects while their servers fail: locks stay exclusive, words honest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.errors import OutcomeUnknown, Unavailable

from .etcd_servers import EtcdServers
from .servers import Servers
from .zookeeper_servers import HOW_TO_GET, ZooKeeperServers, installed

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
PATIENCE = 60


@pytest.fixture(
    params=[
        EtcdServers,
        pytest.param(
            ZooKeeperServers, marks=pytest.mark.skipif(not installed(), reason=HOW_TO_GET)
        ),
    ]
)
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    with request.param(tmp_path) as started:
        yield started


async def put_for_certain(client: quorate.AsyncClient, key: str, value: str) -> None:
    """Write until it is known to have happened; twice is as good as once here."""
    while True:
        try:
            await client.kv.put(key, value)
        except (OutcomeUnknown, Unavailable):
            continue
        return


def test_a_lock_survives_the_death_of_any_one_server(servers: Servers) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(servers.url) as client:
            tokens = []
            for server in range(servers.count):
                async with client.lock("orders", ttl=20) as held:
                    servers.kill(server)
                    await put_for_certain(client, "in-the-lock", str(server))
                    held.check()
                    tokens.append(held.token)
                servers.start(server)
                await servers.ready()
            assert tokens == sorted(set(tokens))

    asyncio.run(body())


def test_a_lock_that_can_no_longer_be_proven_cancels_its_body(servers: Servers) -> None:
    async def body() -> None:
        client = quorate.AsyncClient(servers.url, timeout=2.0)
        started = asyncio.Event()

        async def hold() -> None:
            async with client.lock("orders", ttl=3):
                started.set()
                await asyncio.sleep(PATIENCE)

        holding = asyncio.ensure_future(hold())
        await started.wait()
        # Their majority is gone, and the lease with it as far as anybody can tell.
        servers.kill(0)
        servers.kill(1)
        with pytest.raises(quorate.LockLost):
            await holding
        await client.close()

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


def test_without_a_majority_a_write_says_what_is_known_of_it(servers: Servers) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(servers.url, timeout=2.0) as client:
            await client.kv.put("k", "before")
            servers.kill_all()
            with pytest.raises(Unavailable):
                await client.kv.get("k")
            with pytest.raises((Unavailable, OutcomeUnknown)):
                await client.kv.put("k", "after")

    asyncio.run(body())

"""The etcd engine while servers fail: locks stay exclusive, watches complete, words honest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.engines.etcd import EtcdStore
from quorate.errors import Compacted, InvalidRequest, OutcomeUnknown, Unavailable
from quorate.store.types import Put, WatchRequest

from .etcd_servers import NODES, EtcdServers

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[EtcdServers]:
    started = EtcdServers(tmp_path)
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


def test_a_lock_survives_the_death_of_any_one_server(servers: EtcdServers) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(servers.url) as client:
            tokens = []
            for server in range(NODES):
                async with client.lock("orders", ttl=10) as held:
                    servers.kill(server)
                    await put_for_certain(client, "in-the-lock", str(server))
                    held.check()
                    tokens.append(held.token)
                servers.start(server)
                await servers.ready()
            assert tokens == sorted(set(tokens))

    asyncio.run(body())


def test_two_clients_never_hold_one_lock(servers: EtcdServers) -> None:
    async def body() -> None:
        inside = 0
        count = 0

        async def add(client: quorate.AsyncClient) -> None:
            nonlocal inside, count
            for _ in range(10):
                async with client.lock("counter", ttl=10):
                    inside += 1
                    assert inside == 1
                    await asyncio.sleep(0.001)
                    count += 1
                    inside -= 1

        async with (
            quorate.AsyncClient(servers.url) as one,
            quorate.AsyncClient(servers.url) as two,
        ):
            await asyncio.gather(add(one), add(two))
        assert count == 20

    asyncio.run(body())


def test_a_lock_that_can_no_longer_be_proven_cancels_its_body(servers: EtcdServers) -> None:
    async def body() -> None:
        client = quorate.AsyncClient(servers.url, timeout=1.0)

        async def hold() -> None:
            async with client.lock("orders", ttl=2):
                servers.kill(0)
                servers.kill(1)
                await asyncio.sleep(60)

        with pytest.raises(quorate.LockLost):
            await hold()
        await client.close()

    asyncio.run(body())


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
            for server in range(NODES):
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


def test_without_a_majority_a_write_says_what_is_known_of_it(servers: EtcdServers) -> None:
    async def body() -> None:
        store = EtcdStore(servers.addresses, timeout=2.0)
        await store.put(b"k", b"before")
        servers.kill_all()
        with pytest.raises(Unavailable):
            await store.get(b"k")
        with pytest.raises((Unavailable, OutcomeUnknown)):
            await store.put(b"k", b"after")
        await store.close()

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

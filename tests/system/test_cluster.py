"""Three real nodes, killed without mercy: nothing acknowledged is lost, nothing done twice."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.system.workloads import (
    assert_exact,
    count_in_processes,
    keep_killing,
    lead,
    load,
    more,
    restart_leader,
    same_state,
)

import quorate
from quorate.cli.processes import LocalCluster
from quorate.engines.cluster import ClusterStore
from quorate.errors import LeaseExists

pytestmark = pytest.mark.system


def test_what_the_readme_shows(cluster: LocalCluster) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(cluster.url) as client:
            await client.kv.put("greeting", "hello")
            found = await client.kv.get("greeting")
            assert found is not None
            assert found.value == b"hello"
            async with client.lock("orders/42", ttl=10) as held:
                assert held.token > found.revision
                assert not held.lost
            async with client.kv.watch("greeting", from_revision=found.revision) as events:
                async for event in events:
                    assert event.kv.value == b"hello"
                    break

    asyncio.run(body())


def test_the_blocking_client_does_the_same(cluster: LocalCluster) -> None:
    with quorate.Client(cluster.url) as client:
        revision = client.kv.put("greeting", "hello")
        found = client.kv.get("greeting")
        assert found is not None
        assert found.revision == revision
        with client.lock("orders/42", ttl=10) as held:
            held.check()
        with client.kv.watch("greeting", from_revision=revision) as events:
            assert next(events).kv.value == b"hello"


def test_a_lease_can_have_an_id_of_the_caller_s_and_all_are_listed(cluster: LocalCluster) -> None:
    async def body() -> None:
        store = ClusterStore([node.address for node in cluster.nodes])
        try:
            granted = await store.grant_lease(77, 10.0)
            other = await store.grant(30.0)
            assert (granted.id, granted.ttl) == (77, 10.0)
            assert await store.leases() == (77, other.id)
            with pytest.raises(LeaseExists):
                await store.grant_lease(77, 20.0)
            await store.revoke(other.id)
            assert await store.leases() == (77,)
        finally:
            await store.close()

    asyncio.run(body())


def test_writes_retried_through_leader_kills_happen_once(cluster: LocalCluster) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(cluster.url, timeout=30) as client:
            keys = [f"once/{number}" for number in range(1000)]
            killing = asyncio.ensure_future(keep_killing(cluster, 3))
            revisions = []
            for start in range(0, len(keys), 10):
                revisions += await asyncio.gather(
                    *(client.kv.put(key, "x") for key in keys[start : start + 10])
                )
                if start < 900:
                    await asyncio.sleep(0.02)
            await killing
            page = await client.kv.range(prefix="once/")
            assert page.count == 1000
            assert [item.version for item in page.items] == [1] * 1000
            assert sorted(item.mod_revision for item in page.items) == sorted(revisions)

    asyncio.run(body())


def test_a_counter_under_the_lock_is_exact_while_leaders_die(cluster: LocalCluster) -> None:
    async def body() -> None:
        killing = asyncio.ensure_future(keep_killing(cluster, 3))
        counted = await count_in_processes(cluster.url, 8, seconds=0, rounds=25)
        await killing
        assert_exact(counted)
        assert len(counted) == 200
        async with quorate.AsyncClient(cluster.url) as client:
            found = await client.kv.get("count")
            assert found is not None
            assert int(found.value) == 200

    asyncio.run(body())


def test_all_nodes_killed_at_once_keep_every_acknowledged_write(cluster: LocalCluster) -> None:
    async def body() -> None:
        acknowledged: list[str] = []

        async def writer(client: quorate.AsyncClient, name: int) -> None:
            for number in range(10_000):
                key = f"{name}/{number}"
                await client.kv.put(key, "x")
                acknowledged.append(key)

        async with quorate.AsyncClient(cluster.url, timeout=2) as client:
            writers = [asyncio.ensure_future(writer(client, name)) for name in range(16)]
            while len(acknowledged) < 2000:  # noqa: ASYNC110  the writers run on meanwhile
                await asyncio.sleep(0.01)
            for node in cluster.nodes:
                node.kill()
            await asyncio.gather(*writers, return_exceptions=True)
        cluster.start()
        await cluster.ready()
        async with quorate.AsyncClient(cluster.url) as client:
            for key in acknowledged:
                assert await client.kv.get(key) is not None, f"{key} was acknowledged and is gone"

    asyncio.run(body())


def test_leadership_is_handed_over_under_load_without_an_error(cluster: LocalCluster) -> None:
    async def body() -> None:
        async with load(cluster.url) as revisions:
            for _ in range(2):
                for node in cluster.nodes:
                    await lead(cluster, node)
                    await more(revisions, 20)
        await same_state(cluster)

    asyncio.run(body())


def test_a_watch_misses_nothing_through_a_failover(cluster: LocalCluster) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(cluster.url, timeout=30) as client:
            stream = client.kv.watch(prefix="w/", from_revision=1)
            killing = asyncio.ensure_future(keep_killing(cluster, 2))
            expected = [await client.kv.put(f"w/{n}", str(n)) for n in range(200)]
            await killing
            seen: list[int] = []
            async with asyncio.timeout(20):
                async for event in stream:
                    seen.append(event.kv.revision)
                    if len(seen) == len(expected):
                        break
            assert seen == expected
            await stream.close()

    asyncio.run(body())


def test_a_watch_gets_a_history_larger_than_a_connection_may_queue(
    cluster: LocalCluster,
) -> None:
    async def body() -> None:
        value = bytes(1024 * 1024)
        async with quorate.AsyncClient(cluster.url, timeout=30) as client:
            expected = [await client.kv.put("big", value) for _ in range(80)]
        async with quorate.AsyncClient(cluster.url, timeout=30) as client:
            seen: list[int] = []
            async with (
                asyncio.timeout(60),
                client.kv.watch("big", from_revision=expected[0]) as events,
            ):
                async for event in events:
                    seen.append(event.kv.revision)
                    if len(seen) == len(expected):
                        break
            assert seen == expected

    asyncio.run(body())


def test_an_idle_watch_is_not_overtaken_by_compaction(cluster: LocalCluster) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(cluster.url, timeout=30) as client:
            stream = client.kv.watch("quiet", from_revision=1)
            waiting = asyncio.ensure_future(anext(aiter(stream)))
            for number in range(50):
                revision = await client.kv.put("loud", str(number))
            async with asyncio.timeout(20):
                while stream.revision < revision:  # noqa: ASYNC110  no event comes, that is the point
                    await asyncio.sleep(0.05)
            await client.store.compact(revision)
            await restart_leader(cluster)
            written = await client.kv.put("quiet", "x")
            async with asyncio.timeout(20):
                event = await waiting
            assert event.kv.revision == written
            await stream.close()

    asyncio.run(body())


def test_a_holder_that_dies_is_followed_after_its_ttl(cluster: LocalCluster) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(cluster.url) as other:
            client = quorate.AsyncClient(cluster.url)
            held = await client.lock("mine", ttl=2).acquire()
            assert await other.lock("mine", ttl=2).try_acquire() is None
            # The holder's process is gone without a word: no release, no revoke.
            await client.store.close()
            taken = await other.lock("mine", ttl=2).acquire(timeout=20)
            assert taken.token > held.token

    asyncio.run(body())


def test_garbage_sent_to_the_port_harms_nobody(cluster: LocalCluster) -> None:
    host, port = cluster.nodes[0].address.split(":")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"QUORATE1\xff\xff\xff\xff", bytes(5000)):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(garbage)
    with quorate.Client(cluster.url) as client:
        client.kv.put("still", "there")


def test_an_over_large_value_is_refused_and_changes_nothing(cluster: LocalCluster) -> None:
    with quorate.Client(cluster.url) as client:
        with pytest.raises(quorate.LimitExceeded, match="split it"):
            client.kv.put("big", bytes(2 * 1024 * 1024))
        assert client.kv.get("big") is None

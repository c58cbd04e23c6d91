"""What the ZooKeeper engine owes beyond the contract, on one real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import quorate
from quorate.codecs.zookeeper import records
from quorate.codecs.zookeeper.records import ANY_VERSION, CreateMode, Operation
from quorate.engines.zookeeper import ZooKeeperStore
from quorate.engines.zookeeper.connection import Request
from quorate.errors import InvalidRequest, Unauthenticated, UnsupportedByEngine
from quorate.store.compare import create_revision, version
from quorate.store.types import Delete, Put, Range, WatchRequest, prefix_end, prefix_range

from .certificates import certificate
from .zookeeper_servers import HOW_TO_GET, ZooKeeperServers, installed

pytestmark = [pytest.mark.system, pytest.mark.skipif(not installed(), reason=HOW_TO_GET)]
PATIENCE = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperServers]:
    with ZooKeeperServers(tmp_path_factory.mktemp("zookeeper"), 1) as started:
        yield started


async def foreign(store: ZooKeeperStore, operation: Operation, body: bytes) -> int:
    """Do what another program does, and return the code."""
    (reply,) = await store._session.ask([Request(operation, body)], PATIENCE)
    return reply.code


def test_a_condition_tells_a_key_from_one_that_was_made_anew(server: ZooKeeperServers) -> None:
    """The new node has the same version: that of its directory is what differs."""

    async def body() -> None:
        store = ZooKeeperStore(server.addresses, "/anew")
        key = b"a/b"
        created = await store.put(key, b"")
        sight, _ = await store._look([key])
        # What another client does between the look and the multi.
        await store.delete(key)
        await store.put(key, b"another's")
        looks = [sight]
        look = store._look

        async def stale_once(keys: list[bytes]) -> object:
            return (looks.pop(), created) if looks else await look(keys)

        store._look = stale_once  # type: ignore[method-assign,assignment]  # the race under test
        result = await store.commit(when=[create_revision(key) == created], then=[Delete(key)])
        assert not result.succeeded
        assert not looks
        found = await store.get(key)
        assert found is not None
        assert found.value == b"another's"
        await store.close()

    asyncio.run(body())


def test_a_commit_can_depend_on_what_is_not_there(server: ZooKeeperServers) -> None:
    async def body() -> None:
        store = ZooKeeperStore(server.addresses, "/absent")
        await store.put(b"seen", b"")
        watch = store.watch(WatchRequest(b"lock/", prefix_end(b"lock/")))
        free = version(b"lock/holder") == 0
        assert (await store.commit(when=[free], then=[Put(b"work", b"1")])).succeeded
        await store.put(b"lock/holder", b"me")
        assert not (await store.commit(when=[free], then=[Put(b"work", b"2")])).succeeded
        async with asyncio.timeout(PATIENCE):
            async for batch in watch:
                # Nobody sees how it is found out that a key is not there.
                assert [event.kv.value for event in batch.events] == [b"me"]
                break
        await watch.close()
        await store.close()

    asyncio.run(body())


def test_what_others_made_is_seen_as_it_is(server: ZooKeeperServers) -> None:
    async def body() -> None:
        store = ZooKeeperStore(server.addresses, "")
        for path in ("/theirs", "/theirs/a", "/theirs/100%"):
            made = records.create(path, b"data", CreateMode.PERSISTENT, records.ANYONE)
            assert await foreign(store, Operation.CREATE, made) == 0
        found = await store.range(prefix_range(b"theirs"))
        # A name that no key has is not seen.
        assert [item.key for item in found.items] == [b"theirs", b"theirs/a"]
        await store.put(b"theirs", b"changed")
        with pytest.raises(UnsupportedByEngine, match="other keys under"):
            await store.delete(b"theirs")
        written = records.set_data("/theirs/a", b"theirs again", ANY_VERSION)
        assert await foreign(store, Operation.SET_DATA, written) == 0
        assert (await store.range(Range(b"theirs/a", b"theirs/b"))).items[
            0
        ].value == b"theirs again"
        whole = await store.range(Range())
        assert not [item for item in whole.items if item.key.startswith(b"zookeeper")]
        await store.close()

    asyncio.run(body())


def test_directories_are_no_keys_and_no_value_is_taken_for_one(server: ZooKeeperServers) -> None:
    async def body() -> None:
        store = ZooKeeperStore(server.addresses, "/directories")
        await store.put(b"a/b/c", b"")
        found = await store.range(Range())
        assert [item.key for item in found.items] == [b"a/b/c"]
        assert await store.get(b"a/b") is None
        mark = await store._tree.look([store._paths.of(b"a/b")])
        assert mark[0][0] is not None
        with pytest.raises(InvalidRequest):
            await store.put(b"d", mark[0][0].data)
        await store.close()

    asyncio.run(body())


def test_a_user_owns_what_it_makes(server: ZooKeeperServers) -> None:
    address = server.addresses[0]

    async def body() -> None:
        async with quorate.AsyncClient(f"zookeeper://ann:secret@{address}/ann") as client:
            await client.kv.put("private/a", "1")
            async with client.lock("private/lock", ttl=2):
                pass
            async with quorate.AsyncClient(f"zookeeper://{address}/ann") as stranger:
                with pytest.raises(Unauthenticated):
                    await stranger.kv.put("private/a", "2")
                with pytest.raises(Unauthenticated):
                    await stranger.kv.get("private/a")
            found = await client.kv.get("private/a")
            assert found is not None
            assert found.value == b"1"

    asyncio.run(body())


def test_one_commit_has_to_do_with_one_lease(server: ZooKeeperServers) -> None:
    async def body() -> None:
        store = ZooKeeperStore(server.addresses, "/leases")
        one, two = await store.grant(5), await store.grant(5)
        with pytest.raises(UnsupportedByEngine, match="one lease"):
            await store.commit(then=[Put(b"a", b"", one.id), Put(b"b", b"", two.id)])
        assert (await store.range(Range())).count == 0
        for grant in (one, two):
            await store.revoke(grant.id)
        await store.close()

    asyncio.run(body())


def test_a_server_that_is_none_is_no_server(server: ZooKeeperServers) -> None:
    """Garbage on the port: the client says that nobody answered, and goes elsewhere."""

    async def body() -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
            await writer.drain()
            writer.close()

        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        alone = ZooKeeperStore([f"127.0.0.1:{port}"], timeout=0.5)
        with pytest.raises(quorate.Unavailable, match=str(port)):
            await alone.get(b"a")
        await alone.close()
        both = ZooKeeperStore([f"127.0.0.1:{port}", *server.addresses])
        assert await both.get(b"nothing") is None
        await both.close()
        listening.close()
        await listening.wait_closed()

    asyncio.run(body())


def test_certificates_are_shown_and_checked_on_both_sides(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = certificate(authority, tmp_path, "quorate")

    async def body(started: ZooKeeperServers) -> None:
        async with (
            quorate.AsyncClient(started.url, tls=tls) as client,
            client.lock("orders", ttl=5) as held,
        ):
            assert held.token > 0
        stranger = certificate(trustme.CA(), tmp_path, "stranger")
        for wrong in (None, stranger):
            store = ZooKeeperStore(started.addresses, tls=wrong, timeout=1.0)
            with pytest.raises(quorate.Unavailable):
                await store.get(b"a")
            await store.close()

    with ZooKeeperServers(tmp_path, 1, tls) as started:
        asyncio.run(body(started))

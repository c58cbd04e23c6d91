"""Who is let in: the right certificate, the right cluster."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from tests.system.workloads import new_seats

import quorate
from quorate.cli.processes import LocalCluster, LocalNode
from quorate.engines.cluster import ClusterStore
from quorate.engines.cluster.probe import probe
from quorate.errors import ConfigurationError, HandshakeRefused, TransportError
from quorate.node import Node, NodeConfig
from quorate.node.config import split_address
from quorate.node.trust import names_member
from quorate.protocol.raft import Member
from quorate.protocol.raft.configuration import AddLearner, Promote
from quorate.runtime.network import RealNetwork
from quorate.runtime.transport.connection import ConnectionLimits, ignore_frames, ignore_loss
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import PROTOCOL_VERSION, Hello, Role
from quorate.runtime.transport.tls import ReloadingContext, TlsConfig

pytestmark = pytest.mark.system


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file as a certificate manager does: whole, or not yet."""
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").replace(path)


def tls_files(
    directory: Path, authority: trustme.CA, name: str, *, host: str = "127.0.0.1"
) -> TlsConfig:
    issue(directory, authority, name, host)
    replace_file(directory / f"{name}.ca", authority.cert_pem.bytes())
    certificate, key, trusted = (str(directory / f"{name}.{kind}") for kind in ("pem", "key", "ca"))
    return TlsConfig(certificate=certificate, key=key, authority=trusted)


def issue(directory: Path, authority: trustme.CA, name: str, host: str) -> None:
    issued = authority.issue_cert(host, common_name=name)
    replace_file(directory / f"{name}.pem", issued.cert_chain_pems[0].bytes())
    replace_file(directory / f"{name}.key", issued.private_key_pem.bytes())


@asynccontextmanager
async def one_node(directory: Path, tls: TlsConfig | None) -> AsyncIterator[str]:
    config = NodeConfig(
        name="a",
        data_dir=str(directory / "a"),
        listen="127.0.0.1:0",
        peers=("a=127.0.0.1:1",),
        tls=tls,
    )
    node = Node(config)
    await node.start()
    try:
        yield f"127.0.0.1:{node.port}"
    finally:
        await node.stop()


def test_a_client_with_a_certificate_of_the_authority_is_let_in(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = tls_files(tmp_path, authority, "node")

    async def body() -> None:
        async with one_node(tmp_path, tls) as address:
            status = await probe(address, 0, tls=tls)
            assert status.name == "a"

    asyncio.run(body())


async def knock(address: str, tls: TlsConfig, hello: Hello) -> None:
    """Open a connection as a peer and close it again; raises what it was refused with."""
    dialer = Dialer(RealNetwork(), ReloadingContext.for_client(tls), ConnectionLimits())
    connection, _ = await dialer.dial(address, hello, on_frames=ignore_frames, on_lost=ignore_loss)
    connection.close("the door is open")
    await connection.wait_lost()


def peer_hello(node: LocalNode, peers: str, *, cluster_id: int = 0) -> Hello:
    config = NodeConfig(
        name=node.name, data_dir="-", listen=node.address, peers=tuple(peers.split(","))
    )
    own = next(member for member in config.members if member.name == node.name)
    return Hello(
        PROTOCOL_VERSION, Role.PEER, cluster_id or config.cluster_id, own.id, 0, node.address
    )


class TlsCluster:
    """Three nodes, each with a certificate of its own that one authority gave it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cluster = LocalCluster(directory / "cluster", 3, 0)
        self.peers = ",".join(f"{node.name}={node.address}" for node in self.cluster.nodes)

    def issue(self, authority: trustme.CA) -> None:
        """Give every node a new certificate, while it runs if it runs."""
        for node in self.cluster.nodes:
            issue(self.directory, authority, node.name, "127.0.0.1")

    def trust(self, *authorities: trustme.CA) -> None:
        """Let every node trust these authorities and no others."""
        bundle = b"".join(authority.cert_pem.bytes() for authority in authorities)
        for node in self.cluster.nodes:
            replace_file(self.directory / f"{node.name}.ca", bundle)

    def start(self, node: LocalNode, *extra: str) -> None:
        certificate, key, authority = (
            str(self.directory / f"{node.name}.{kind}") for kind in ("pem", "key", "ca")
        )
        node.start(
            *("--tls-certificate", certificate),
            *("--tls-key", key),
            *("--tls-authority", authority),
            *extra,
        )


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[TlsCluster]:
    made = TlsCluster(tmp_path)
    yield made
    for node in made.cluster.nodes:
        node.kill()


def test_only_the_member_itself_is_let_in_as_a_peer(guarded: TlsCluster, tmp_path: Path) -> None:
    authority = trustme.CA()
    client = tls_files(tmp_path, authority, "client")
    stranger = tls_files(tmp_path, authority, "stranger", host="elsewhere.example")
    named = tls_files(tmp_path, authority, "node2", host="elsewhere.example")
    guarded.trust(authority)
    guarded.issue(authority)
    for node in guarded.cluster.nodes:
        guarded.start(node)
    first, second, _ = guarded.cluster.nodes
    hello = peer_hello(second, guarded.peers)

    async def body() -> None:
        async with quorate.AsyncClient(guarded.cluster.url, tls=client, timeout=30) as connected:
            await connected.kv.put("formed", "x")
        await knock(first.address, named, hello)
        with pytest.raises(HandshakeRefused, match="does not name the member node2"):
            await knock(first.address, stranger, hello)
        other = peer_hello(second, guarded.peers, cluster_id=12345)
        with pytest.raises(HandshakeRefused, match="belongs to cluster"):
            await knock(first.address, named, other)
        # As a client the stranger is welcome: the authority vouches for it.
        async with quorate.AsyncClient(guarded.cluster.url, tls=stranger) as connected:
            assert await connected.kv.get("formed") is not None

    asyncio.run(body())


def test_a_node_joins_with_its_certificate(guarded: TlsCluster, tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = tls_files(tmp_path, authority, "client")
    (newcomer,) = new_seats(tmp_path, 1)
    guarded.trust(authority)
    guarded.issue(authority)
    for node in guarded.cluster.nodes:
        guarded.start(node)

    async def body() -> None:
        addresses = [node.address for node in guarded.cluster.nodes]
        store = ClusterStore(addresses, tls=tls, timeout=30)
        await store.put(b"early", b"x")
        await store.change_members(AddLearner(Member(4, newcomer.name, newcomer.address)))
        guarded.cluster.nodes.append(newcomer)
        tls_files(tmp_path, authority, newcomer.name)
        guarded.start(newcomer, "--join", ",".join(addresses))
        async with asyncio.timeout(30):
            while await _revision(newcomer, tls) < 2:  # noqa: ASYNC110  another process tells no event
                await asyncio.sleep(0.05)
        await store.change_members(Promote(4))
        await store.close()

    asyncio.run(body())


def test_a_node_whose_certificate_names_another_host_is_not_spoken_with(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = tls_files(tmp_path, authority, "a", host="elsewhere.example")
    client = tls_files(tmp_path, authority, "client")

    async def body() -> None:
        async with one_node(tmp_path, tls) as address:
            with pytest.raises(HandshakeRefused, match="names the address"):
                await probe(address, 0, tls=client)

    asyncio.run(body())


def test_certificates_are_replaced_without_a_restart(guarded: TlsCluster, tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    guarded.trust(old)
    guarded.issue(old)
    for node in guarded.cluster.nodes:
        guarded.start(node)
    first, second, third = guarded.cluster.nodes
    before = tls_files(tmp_path, old, "before")
    after = tls_files(tmp_path, new, "after")

    async def body() -> None:
        async with quorate.AsyncClient(guarded.cluster.url, tls=before, timeout=30) as client:
            await client.kv.put("early", "x")
        guarded.trust(old, new)
        guarded.issue(new)
        guarded.trust(new)
        with pytest.raises((TransportError, ssl.SSLError)):
            await probe(first.address, 0, tls=before)
        async with quorate.AsyncClient(guarded.cluster.url, tls=after, timeout=30) as client:
            assert await client.kv.get("early") is not None
            # The links between nodes are made anew, with the new certificates.
            third.kill()
            await client.kv.put("without it", "x")
            guarded.start(third)
            async with asyncio.timeout(30):
                while await _revision(third, after) < 3:  # noqa: ASYNC110  another process tells no event
                    await asyncio.sleep(0.05)
            assert first.running
            assert second.running

    asyncio.run(body())


async def _revision(node: LocalNode, tls: TlsConfig) -> int:
    try:
        return (await probe(node.address, 0, tls=tls)).revision
    except quorate.QuorateError:
        return 0


def test_what_names_a_member() -> None:
    member = Member(1, "a", "[::1]:7400")
    assert names_member(("x", "A"), member)
    assert names_member(("0:0:0:0:0:0:0:1",), member)
    assert not names_member((), member)
    assert not names_member(("*", "b", "127.0.0.1", ""), member)
    assert names_member(("Node-1.example",), Member(1, "a", "node-1.example:7400"))
    assert not names_member(("*.example",), Member(1, "a", "node-1.example:7400"))
    assert not names_member(("", "x"), Member(1, "", "no address"))


def test_a_client_with_another_certificate_is_refused(tmp_path: Path) -> None:
    tls = tls_files(tmp_path, trustme.CA(), "node")
    stranger = tls_files(tmp_path, trustme.CA(), "stranger")

    async def body() -> None:
        async with one_node(tmp_path, tls) as address:
            with pytest.raises((TransportError, ssl.SSLError)):
                await probe(address, 0, tls=stranger)
            with pytest.raises((TransportError, ssl.SSLError)):
                await probe(address, 0)

    asyncio.run(body())


def test_another_cluster_is_refused_by_name(tmp_path: Path) -> None:
    async def body() -> None:
        async with one_node(tmp_path, None) as address:
            with pytest.raises(HandshakeRefused, match="belongs to cluster"):
                await probe(address, 12345)

    asyncio.run(body())


def test_a_node_with_another_name_does_not_take_the_directory(tmp_path: Path) -> None:
    async def body() -> None:
        async with one_node(tmp_path, None):
            pass
        config = NodeConfig(name="b", data_dir=str(tmp_path / "a"), listen="127.0.0.1:0")
        with pytest.raises(ConfigurationError, match="belongs to the node 'a'"):
            await Node(config).start()

    asyncio.run(body())


def test_urls_that_name_nobody_are_refused() -> None:
    async def body() -> None:
        with pytest.raises(quorate.InvalidRequest):
            ClusterStore([])
        for url in ("http://x", "quorate:", "quorate://host:port"):
            with pytest.raises(quorate.InvalidRequest):
                quorate.AsyncClient(url)

    asyncio.run(body())
    assert split_address("127.0.0.1:7400") == ("127.0.0.1", 7400)

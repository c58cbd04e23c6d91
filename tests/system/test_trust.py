"""Who is let in: the right certificate, the right cluster."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

import quorate
from quorate.engines.cluster import ClusterStore
from quorate.engines.cluster.probe import probe
from quorate.errors import ConfigurationError, HandshakeRefused, TransportError
from quorate.node import Node, NodeConfig
from quorate.node.config import split_address
from quorate.runtime.transport.tls import TlsConfig

pytestmark = pytest.mark.system


def tls_files(directory: Path, authority: trustme.CA, name: str) -> TlsConfig:
    certificate = authority.issue_cert("127.0.0.1", common_name=name)
    paths = [str(directory / f"{name}.{kind}") for kind in ("pem", "key", "ca")]
    certificate.cert_chain_pems[0].write_to_path(paths[0])
    certificate.private_key_pem.write_to_path(paths[1])
    authority.cert_pem.write_to_path(paths[2])
    return TlsConfig(certificate=paths[0], key=paths[1], authority=paths[2])


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

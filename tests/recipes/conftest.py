"""One URL for each engine; the servers behind it live as long as a module's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.engines.etcd_servers import EtcdServers
from tests.engines.zookeeper_servers import HOW_TO_GET, ZooKeeperServers, installed

from quorate.cli.processes import LocalCluster

ENGINES = (
    "memory",
    "file",
    "quorate",
    "etcd",
    pytest.param("zookeeper", marks=pytest.mark.skipif(not installed(), reason=HOW_TO_GET)),
)


@pytest.fixture(scope="module", params=ENGINES)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A URL that every client of a test opens."""
    directory = tmp_path_factory.mktemp("engine")
    if request.param == "memory":
        yield f"memory:{directory.name}"
    elif request.param == "file":
        yield f"file:{directory}/store"
    elif request.param == "quorate":
        cluster = LocalCluster(directory, 3, 0)
        cluster.start()
        try:
            asyncio.run(cluster.ready())
            yield cluster.url
        finally:
            for node in cluster.nodes:
                node.kill()
    else:
        kind = ZooKeeperServers if request.param == "zookeeper" else EtcdServers
        with kind(directory) as servers:
            yield servers.url


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return str(request.node.name)

"""One etcd and one cluster of ours that speaks its API, for all tests of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.engines.etcd_servers import EtcdServers

from quorate.cli.processes import LocalCluster


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real etcd."""
    with EtcdServers(tmp_path_factory.mktemp("etcd"), count=1) as servers:
        asyncio.run(servers.ready())
        yield servers.addresses[0]


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address at which one node of ours, alone, speaks etcd's API."""
    yield from _serving(LocalCluster(tmp_path_factory.mktemp("single") / "cluster", 1, 0, 0))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Three nodes of ours that speak etcd's API."""
    started = LocalCluster(tmp_path_factory.mktemp("three") / "cluster", 3, 0, 0)
    for _ in _serving(started):
        yield started


def _serving(cluster: LocalCluster) -> Iterator[str]:
    cluster.start()
    try:
        asyncio.run(cluster.ready())
        yield cluster.nodes[0].etcd
    finally:
        for node in cluster.nodes:
            node.kill()

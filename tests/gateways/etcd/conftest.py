"""One etcd and one cluster of ours that speaks its API, for all tests of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines.etcd_servers import EtcdServers

from quorate.cli.processes import LocalCluster

from .programs import HOW_TO_GET, Ctl, programs


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


@pytest.fixture(params=["3.5", pytest.param("3.4", marks=pytest.mark.soak)])
def binary(request: pytest.FixtureRequest) -> Path:
    found = programs().get(request.param)
    if found is None:
        pytest.skip(HOW_TO_GET)
    return found


@pytest.fixture
def pair(binary: Path, tmp_path: Path) -> Iterator[tuple[Ctl, Ctl]]:
    """A fresh etcd, and a fresh node of ours."""
    cluster = LocalCluster(tmp_path / "ours", 1, 0, 0)
    (tmp_path / "theirs").mkdir()
    with EtcdServers(tmp_path / "theirs", count=1) as servers:
        cluster.start()
        try:
            asyncio.run(servers.ready())
            asyncio.run(cluster.ready())
            yield Ctl(binary, servers.addresses[0]), Ctl(binary, cluster.nodes[0].etcd)
        finally:
            cluster.stop()


def _serving(cluster: LocalCluster) -> Iterator[str]:
    cluster.start()
    try:
        asyncio.run(cluster.ready())
        yield cluster.nodes[0].etcd
    finally:
        for node in cluster.nodes:
            node.kill()

"""One contract, every engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from quorate.cli.processes import LocalCluster
from quorate.embedded import FileStore
from quorate.engines.cluster import ClusterStore
from quorate.engines.etcd import EtcdStore
from quorate.engines.memory import MemoryStore
from quorate.engines.zookeeper import ZooKeeperStore
from quorate.store import Store
from quorate.testing.contract import StoreContract

from .etcd_servers import EtcdServers
from .zookeeper_servers import HOW_TO_GET, ZooKeeperServers, installed


class TestMemory(StoreContract):
    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        yield store
        await store.close()


class TestFile(StoreContract):
    directory: ClassVar[Path]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _directory(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.directory = tmp_path_factory.mktemp("store")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        store = FileStore(str(self.directory), timeout=10)
        yield store
        await store.close()


@pytest.mark.system
class TestCluster(StoreContract):
    cluster: ClassVar[LocalCluster]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _cluster(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        cluster = LocalCluster(tmp_path_factory.mktemp("cluster"), 3, 0)
        cls.cluster = cluster
        cluster.start()
        try:
            asyncio.run(cluster.ready())
            yield
        finally:
            for node in cluster.nodes:
                node.kill()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        store = ClusterStore([node.address for node in self.cluster.nodes])
        yield store
        await store.close()


@pytest.mark.system
class TestEtcd(StoreContract):
    servers: ClassVar[EtcdServers]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _servers(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with EtcdServers(tmp_path_factory.mktemp("etcd")) as cls.servers:
            yield

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        store = EtcdStore(self.servers.addresses)
        yield store
        await store.close()


@pytest.mark.system
@pytest.mark.skipif(not installed(), reason=HOW_TO_GET)
class TestZooKeeper(StoreContract):
    servers: ClassVar[ZooKeeperServers]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _servers(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with ZooKeeperServers(tmp_path_factory.mktemp("zookeeper")) as cls.servers:
            yield

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        store = ZooKeeperStore(self.servers.addresses, "/quorate")
        try:
            yield store
        finally:
            await store.close()

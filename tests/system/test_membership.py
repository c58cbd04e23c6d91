"""Members come and go under load, and no client that retries sees an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.workloads import load, new_seats, replace_members

import quorate
from quorate.cli.processes import LocalCluster, LocalNode, Ports, free_ports
from quorate.engines.cluster import ClusterStore
from quorate.protocol.raft.configuration import AddLearner, Member, Promote, Remove

pytestmark = pytest.mark.system


async def until_part(store: ClusterStore, name: str, part: str) -> None:
    async with asyncio.timeout(30):
        while True:
            found = {member.name: member.part for member in (await store.members()).members}
            if found.get(name, "") == part:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[LocalNode]:
    port, http = free_ports(2)
    node = LocalNode("node4", tmp_path / "node4", Ports(port, http), "")
    yield node
    node.kill()


def test_a_member_is_added_promoted_and_another_removed(
    cluster: LocalCluster, newcomer: LocalNode
) -> None:
    async def body() -> None:
        store = ClusterStore([node.address for node in cluster.nodes], timeout=30)
        async with load(cluster.url) as revisions:
            await store.change_members(AddLearner(Member(4, "node4", newcomer.address)))
            newcomer.start("--join", cluster.nodes[0].address)
            async with asyncio.timeout(30):
                while (status := await newcomer.status()) is None or status.revision < 2:  # noqa: ASYNC110  another process tells no event
                    await asyncio.sleep(0.05)
            await store.change_members(Promote(4))
            await until_part(store, "node4", "voter")
            leader = await cluster.ready()
            members = (await store.members()).members
            leaving = next(member for member in members if member.name == leader.name)
            await store.change_members(Remove(leaving.id))
            await until_part(store, leader.name, "")
            leader.kill()
            before = len(revisions)
            async with asyncio.timeout(30):
                while len(revisions) < before + 50:  # noqa: ASYNC110  the load runs on
                    await asyncio.sleep(0.05)
        await store.close()

    asyncio.run(body())


def test_a_dead_member_is_replaced_by_command_under_load(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    newcomers = new_seats(tmp_path, 1)
    try:
        asyncio.run(replace_members(cluster, newcomers))
    finally:
        for node in newcomers:
            node.kill()


def test_a_node_whose_log_was_compacted_away_comes_back(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path / "cluster", 3, 0)
    for node in cluster.nodes:
        node.start("--snapshot-entries", "50")

    async def body() -> None:
        leader = await cluster.ready()
        away = next(node for node in cluster.nodes if node is not leader)
        away.kill()
        async with quorate.AsyncClient(cluster.url) as client:
            for number in range(300):
                revision = await client.kv.put(f"k/{number % 20}", str(number))
        away.start("--snapshot-entries", "50")
        async with asyncio.timeout(30):
            while (status := await away.status()) is None or status.revision < revision:  # noqa: ASYNC110  another process tells no event
                await asyncio.sleep(0.05)

    try:
        asyncio.run(body())
    finally:
        for node in cluster.nodes:
            node.kill()

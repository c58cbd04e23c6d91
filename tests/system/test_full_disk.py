"""A disk that is really full: nothing acknowledged is lost, and nothing stops for good."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system.small_disks import mount, mountable, unmount
from tests.system.workloads import lead, same_state, stale, until

import quorate
from quorate.cli.processes import LocalCluster, LocalNode
from quorate.errors import DiskFull

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not mountable(), reason="only root may mount, with apt's mount"),
]
LARGE = "x" * 512 * 1024
SMALL_DISK = "38m"
"""Room for a segment of the log and the reserve, not for a second segment."""
LARGER_DISK = "600m"


def make_room(node: LocalNode) -> None:
    mount(node.directory, f"remount,size={LARGER_DISK}")


Make = Callable[..., LocalCluster]


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[Make]:
    """Make a cluster whose first node has a small disk of its own."""
    made: list[LocalCluster] = []

    def make(nodes: int, *extra: str) -> LocalCluster:
        cluster = LocalCluster(tmp_path / "cluster", nodes, 0)
        cluster.nodes[0].directory.mkdir(parents=True)
        try:
            mount(cluster.nodes[0].directory, f"size={SMALL_DISK},mode=0700")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"nothing can be mounted here: {error.stderr.decode().strip()}")
        made.append(cluster)
        for node in cluster.nodes:
            node.start(*extra)
        asyncio.run(cluster.ready())
        return cluster

    yield make
    for cluster in made:
        for node in cluster.nodes:
            node.kill()
        unmount(cluster.nodes[0].directory)


async def healthy(node: LocalNode) -> bool:
    status = await node.status()
    return status is not None and status.healthy


async def full(node: LocalNode) -> bool:
    status = await node.status()
    assert status is not None, "a node with a full disk goes on serving"
    return not status.healthy


async def fill(client: quorate.AsyncClient, written: dict[str, int], count: int) -> None:
    """Write more than a segment of the log."""
    for _ in range(count):
        key = f"large/{len(written):04}"
        written[key] = await client.kv.put(key, LARGE)


async def assert_kept(client: quorate.AsyncClient, written: dict[str, int]) -> None:
    for key, revision in written.items():
        found = await client.kv.get(key)
        assert found is not None, f"{key} was acknowledged and is gone"
        assert (found.version, found.mod_revision) == (1, revision)


def test_a_follower_with_a_full_disk_is_done_without_and_catches_up(on_small_disk: Make) -> None:
    cluster = on_small_disk(3)
    small, other = cluster.nodes[0], cluster.nodes[1]

    async def body() -> None:
        written: dict[str, int] = {}
        await lead(cluster, other)
        async with quorate.AsyncClient(cluster.url) as client:
            await client.kv.put("early", "x")
            await fill(client, written, 160)
            await until(lambda: full(small))
            assert await stale(small.address, "early") is not None
            await fill(client, written, 20)
            process = small.pid
            make_room(small)
            await until(lambda: healthy(small))
            await same_state(cluster)
            assert small.running
            assert small.pid == process
            await assert_kept(client, written)

    asyncio.run(body())


def test_a_snapshot_for_which_there_is_no_room_stops_nobody(on_small_disk: Make) -> None:
    cluster = on_small_disk(3, "--snapshot-entries", "70")
    small, other = cluster.nodes[0], cluster.nodes[1]

    async def body() -> None:
        written: dict[str, int] = {}
        await lead(cluster, other)
        async with quorate.AsyncClient(cluster.url) as client:
            await fill(client, written, 240)
            await until(lambda: full(small))
            assert "no snapshot was" in (small.directory / "log.jsonl").read_text()
            make_room(small)
            await until(lambda: healthy(small))
            await same_state(cluster)
            assert small.running
            await assert_kept(client, written)

    asyncio.run(body())


def test_a_leader_with_a_full_disk_hands_over_and_no_client_sees_an_error(
    on_small_disk: Make,
) -> None:
    cluster = on_small_disk(3)
    small = cluster.nodes[0]

    async def body() -> None:
        written: dict[str, int] = {}
        await lead(cluster, small)
        async with quorate.AsyncClient(cluster.url, timeout=30) as client:
            await client.kv.put("early", "x")
            await fill(client, written, 160)
            await until(lambda: full(small))
            leader = await cluster.ready()
            assert leader is not small
            assert await stale(small.address, "early") is not None
            await fill(client, written, 20)
            process = small.pid
            make_room(small)
            await until(lambda: healthy(small))
            await same_state(cluster)
            assert small.running
            assert small.pid == process
            await assert_kept(client, written)
        await lead(cluster, small)
        async with quorate.AsyncClient(cluster.url) as client:
            await client.kv.put("late", "x")
            await assert_kept(client, written)

    asyncio.run(body())


def test_a_node_alone_with_a_full_disk_refuses_writes_by_name_and_goes_on_reading(
    on_small_disk: Make,
) -> None:
    cluster = on_small_disk(1)
    (alone,) = cluster.nodes

    async def body() -> None:
        written: dict[str, int] = {}
        async with quorate.AsyncClient(cluster.url, timeout=3) as client:
            await client.kv.put("early", "x")
            # This one was placed before the disk was known to be full: it may yet happen.
            with pytest.raises(quorate.OutcomeUnknown):
                await fill(client, written, 300)
            assert await full(alone)
            unknown = f"large/{len(written):04}"
            with pytest.raises(DiskFull, match="make room"):
                await client.kv.put("refused", "x")
            assert await client.kv.get("early") is not None
            assert await client.kv.get("refused") is None
            process = alone.pid
            make_room(alone)
            await until(lambda: healthy(alone))
            assert alone.pid == process
            await client.kv.put("late", "x")
            await assert_kept(client, written)
            found = await client.kv.get(unknown)
            assert found is None or found.version == 1
            assert await client.kv.get("refused") is None

        alone.stop()
        alone.start()
        await cluster.ready()
        async with quorate.AsyncClient(cluster.url) as client:
            await assert_kept(client, written)
            assert await client.kv.get("late") is not None

    asyncio.run(body())

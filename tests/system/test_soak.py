"""The long forms: a minute of killed leaders, whole clusters killed, members replaced."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.system.workloads import (
    assert_exact,
    count_in_processes,
    keep_killing,
    new_seats,
    replace_members,
    same_state,
)

import quorate
from quorate.cli.processes import LocalCluster

pytestmark = [pytest.mark.system, pytest.mark.soak]


@pytest.mark.timeout(300)
def test_a_counter_is_exact_through_a_minute_of_killed_leaders(cluster: LocalCluster) -> None:
    async def body() -> None:
        killing = asyncio.ensure_future(keep_killing(cluster, 30, every=2.0))
        counted = await count_in_processes(cluster.url, 8, seconds=60, rounds=10)
        await killing
        assert_exact(counted)
        async with quorate.AsyncClient(cluster.url, timeout=30) as client:
            found = await client.kv.get("count")
            assert found is not None
            assert int(found.value) == len(counted)
        await same_state(cluster)

    asyncio.run(body())


@pytest.mark.timeout(300)
def test_each_of_a_thousand_writes_happens_once_through_twenty_killed_leaders(
    cluster: LocalCluster,
) -> None:
    async def body() -> None:
        answered: dict[str, int] = {}
        async with quorate.AsyncClient(cluster.url, timeout=30) as client:
            killing = asyncio.ensure_future(keep_killing(cluster, 20))

            async def write(name: int) -> None:
                for number in range(100):
                    key = f"once/{name}/{number}"
                    answered[key] = await client.kv.put(key, "x")
                    # Spread over all the kills: a write waits for the whole time that is left.
                    if number < 99 and not killing.done():
                        await asyncio.sleep(0.2)

            await asyncio.gather(*(write(name) for name in range(10)))
            await killing
            page = await client.kv.range(prefix="once/")
        assert page.count == 1000
        assert {item.version for item in page.items} == {1}
        assert {item.key.decode(): item.mod_revision for item in page.items} == answered
        await same_state(cluster)

    asyncio.run(body())


@pytest.mark.timeout(300)
def test_a_cluster_killed_whole_five_times_keeps_all_it_acknowledged(
    cluster: LocalCluster,
) -> None:
    acknowledged: dict[str, int] = {}

    async def writer(client: quorate.AsyncClient, turn: int, name: int) -> None:
        for number in range(100_000):
            key = f"{turn}/{name}/{number}"
            acknowledged[key] = await client.kv.put(key, "x")

    async def body() -> None:
        for turn in range(5):
            goal = len(acknowledged) + 2000
            async with quorate.AsyncClient(cluster.url, timeout=2) as client:
                writers = [asyncio.ensure_future(writer(client, turn, name)) for name in range(16)]
                while len(acknowledged) < goal:  # noqa: ASYNC110  the writers run on meanwhile
                    await asyncio.sleep(0.01)
                for node in cluster.nodes:
                    assert node.process is not None
                    node.process.kill()
                for node in cluster.nodes:
                    node.kill()
                await asyncio.gather(*writers, return_exceptions=True)
            cluster.start()
            await cluster.ready()
            async with quorate.AsyncClient(cluster.url, timeout=30) as client:
                keys = list(acknowledged)
                for start in range(0, len(keys), 500):
                    part = keys[start : start + 500]
                    found = await asyncio.gather(*(client.kv.get(key) for key in part))
                    for key, item in zip(part, found, strict=True):
                        assert item is not None, f"{key} was acknowledged and is gone"
                        assert (item.version, item.mod_revision) == (1, acknowledged[key])
            await same_state(cluster)

    asyncio.run(body())


@pytest.mark.timeout(400)
def test_five_members_in_turn_are_replaced_under_load(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    newcomers = new_seats(tmp_path, 5)
    try:
        asyncio.run(replace_members(cluster, newcomers))
    finally:
        for node in newcomers:
            node.kill()

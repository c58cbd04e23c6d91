"""Networks that fall apart: the smaller side acknowledges nothing, and all agree afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.system.namespaces import HUB, Network, cluster_in, inside, unavailable
from tests.system.workloads import lead, same_state, until

import quorate
from quorate.cli.processes import LocalCluster, LocalNode

REASON = unavailable()
pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(REASON), reason=REASON)]


@dataclass(frozen=True)
class Place:
    network: Network
    cluster: LocalCluster

    def number(self, node: LocalNode) -> int:
        return self.cluster.nodes.index(node) + 1

    def others(self, node: LocalNode) -> list[LocalNode]:
        return [each for each in self.cluster.nodes if each is not node]

    def isolate(self, node: LocalNode) -> None:
        """Cut a node off from the others, though not from clients."""
        number = self.number(node)
        self.network.part([number], [other for other in (1, 2, 3) if other != number])

    async def in_vain(self, node: LocalNode, keys: list[str]) -> dict[str, quorate.QuorateError]:
        # A thread, since each thread is in a namespace of its own.
        namespace = self.network.namespace(self.number(node))
        return await asyncio.to_thread(write_in_vain, namespace, node.address, keys)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    network = Network(3)
    cluster = cluster_in(network, tmp_path / "cluster")
    try:
        with inside(network.hub):
            cluster.start()
            asyncio.run(cluster.ready())
            yield Place(network, cluster)
    finally:
        for node in cluster.nodes:
            node.kill()
        network.close()


def write_in_vain(namespace: str, address: str, keys: list[str]) -> dict[str, quorate.QuorateError]:
    """Write each key by a client on a node's side of the network; return how each failed."""
    failures: dict[str, quorate.QuorateError] = {}

    async def write(key: str) -> None:
        async with quorate.AsyncClient(f"quorate://{address}", timeout=3) as client:
            try:
                await client.kv.put(key, "x")
            except (quorate.Unavailable, quorate.OutcomeUnknown) as error:
                failures[key] = error

    async def body() -> None:
        await asyncio.gather(*(write(key) for key in keys))

    with inside(namespace):
        asyncio.run(body())
    return failures


async def write_all(nodes: list[LocalNode], prefix: str, count: int) -> dict[str, int]:
    url = "quorate://" + ",".join(node.address for node in nodes)
    async with quorate.AsyncClient(url, timeout=30) as client:
        return {f"{prefix}/{n}": await client.kv.put(f"{prefix}/{n}", "x") for n in range(count)}


async def assert_outcomes(
    cluster: LocalCluster,
    acknowledged: dict[str, int],
    failures: dict[str, quorate.QuorateError],
) -> None:
    """What was acknowledged is there; what failed is absent or there once, as its error says."""
    await until(lambda: _led(cluster))
    async with quorate.AsyncClient(cluster.url, timeout=30) as client:
        for key, revision in acknowledged.items():
            found = await client.kv.get(key)
            assert found is not None, f"{key} was acknowledged and is gone"
            assert (found.version, found.mod_revision) == (1, revision)
        for key, error in failures.items():
            found = await client.kv.get(key)
            if found is not None:
                assert error.may_have_happened
                assert found.version == 1
    await same_state(cluster)


async def _led(cluster: LocalCluster) -> bool:
    statuses = await cluster.statuses()
    return any(status is not None and status.role == "leader" for status in statuses)


@pytest.mark.parametrize("side", ["leader", "follower"])
def test_the_smaller_side_acknowledges_nothing(place: Place, side: str) -> None:
    async def body() -> None:
        leader = await place.cluster.ready()
        cut_off = leader if side == "leader" else place.others(leader)[0]
        others = place.others(cut_off)
        acknowledged = await write_all(place.cluster.nodes, "before", 20)
        place.isolate(cut_off)
        keys = [f"vain/{number}" for number in range(10)]
        failures, meanwhile = await asyncio.gather(
            place.in_vain(cut_off, keys), write_all(others, "meanwhile", 50)
        )
        assert sorted(failures) == keys
        place.network.heal()
        after = await write_all([cut_off], "after", 10)
        await assert_outcomes(place.cluster, {**acknowledged, **meanwhile, **after}, failures)

    asyncio.run(body())


@pytest.mark.parametrize("deaf", ["leader", "followers"])
def test_a_network_that_passes_one_way_only_gets_another_leader(place: Place, deaf: str) -> None:
    async def body() -> None:
        leader = await place.cluster.ready()
        number = place.number(leader)
        others = place.others(leader)
        before = await write_all(place.cluster.nodes, "before", 20)
        for other in others:
            if deaf == "leader":
                place.network.cut(place.number(other), number)
            else:
                place.network.cut(number, place.number(other))
        keys = [f"vain/{number}" for number in range(10)]
        failures, meanwhile = await asyncio.gather(
            place.in_vain(leader, keys), write_all(others, "meanwhile", 50)
        )
        assert sorted(failures) == keys
        place.network.heal()
        await assert_outcomes(place.cluster, {**before, **meanwhile}, failures)

    asyncio.run(body())


def test_two_that_do_not_hear_each_other_keep_the_leader_that_both_hear(place: Place) -> None:
    async def body() -> None:
        first, second, third = place.cluster.nodes
        await lead(place.cluster, first)
        before = await first.status()
        place.network.part([place.number(second)], [place.number(third)])
        written = await write_all(place.cluster.nodes, "meanwhile", 200)
        after = await first.status()
        assert before is not None
        assert after is not None
        assert (after.role, after.term) == ("leader", before.term)
        place.network.heal()
        await assert_outcomes(place.cluster, written, {})

    asyncio.run(body())


def test_a_watch_moves_away_from_a_leader_that_lost_its_followers(place: Place) -> None:
    async def body() -> None:
        leader = await place.cluster.ready()
        async with quorate.AsyncClient(place.cluster.url, timeout=30) as watching:
            stream = watching.kv.watch("late", from_revision=1)
            waiting = asyncio.ensure_future(anext(aiter(stream)))
            assert await watching.kv.get("late") is None
            # The client still reaches the leader, which has nothing to tell any more.
            place.isolate(leader)
            url = "quorate://" + ",".join(node.address for node in place.others(leader))
            async with quorate.AsyncClient(url, timeout=30) as client:
                await client.kv.put("late", "x")
            async with asyncio.timeout(30):
                assert (await waiting).kv.key == b"late"
            await stream.close()
        place.network.heal()
        await assert_outcomes(place.cluster, {}, {})

    asyncio.run(body())


def test_clients_of_a_leader_that_vanished_without_a_word_find_the_next_one(place: Place) -> None:
    async def body() -> None:
        leader = await place.cluster.ready()
        async with quorate.AsyncClient(place.cluster.url, timeout=30) as client:
            await client.kv.put("early", "x")
            async with quorate.AsyncClient(place.cluster.url, timeout=30) as watching:
                stream = watching.kv.watch("late", from_revision=1)
                events = aiter(stream)
                waiting = asyncio.ensure_future(anext(events))
                assert await watching.kv.get("early") is not None
                place.isolate(leader)
                place.network.part([place.number(leader)], [HUB])
                await client.kv.put("late", "x")
                # The watch sends nothing, so that only silence tells it.
                async with asyncio.timeout(30):
                    event = await waiting
                assert event.kv.key == b"late"
                await stream.close()
        place.network.heal()
        await assert_outcomes(place.cluster, {}, {})

    asyncio.run(body())

"""What a linearizable read is at each of the servers of an ensemble."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.engines.zookeeper.role import waits_for_syncs
from quorate.engines.zookeeper.servers import Servers
from quorate.runtime.real_ports import real_ports

from .servers import START_SECONDS
from .zookeeper_servers import HOW_TO_GET, ZooKeeperServers, installed

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not installed(), reason=HOW_TO_GET),
]
WRITES = 400


@pytest.fixture
def ensemble(tmp_path: Path) -> Iterator[ZooKeeperServers]:
    with ZooKeeperServers(tmp_path) as servers:
        yield servers


async def leader_and_followers(ensemble: ZooKeeperServers) -> tuple[str, list[str]]:
    """Wait until all three serve; until then they say neither."""
    servers = Servers(tuple(ensemble.addresses), real_ports(), None, None)
    async with asyncio.timeout(START_SECONDS):
        while True:
            waits = [await waits_for_syncs(servers, address) for address in servers.addresses]
            if waits.count(True) == 2:
                break
            await asyncio.sleep(0.05)
    pairs = list(zip(servers.addresses, waits, strict=True))
    (leader,) = [address for address, waits in pairs if not waits]
    return leader, [address for address, waits in pairs if waits]


def test_a_read_at_the_leader_sees_every_write_that_a_follower_has_answered(
    ensemble: ZooKeeperServers,
) -> None:
    async def body() -> None:
        leader, (follower, _) = await leader_and_followers(ensemble)
        async with (
            quorate.AsyncClient(f"zookeeper://{follower}/q") as writer,
            quorate.AsyncClient(f"zookeeper://{leader}/q") as reader,
        ):
            for number in range(WRITES):
                await writer.kv.put("n", str(number))
                found = await reader.kv.get("n")
                assert found is not None
                assert found.value == str(number).encode()

    asyncio.run(body())

"""Users' services in a simulated world."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import quorate
from quorate.testing import FaultKind, SimulationFailed, simulate

ROOT = Path(__file__).parents[2]


def test_a_counter_under_the_lock_stays_exact_whatever_happens() -> None:
    counted: list[int] = []

    async def count(client: quorate.AsyncClient) -> None:
        for _ in range(5):
            async with client.lock("counter", ttl=2) as held:
                found = await client.kv.get("count")
                value = int(found.value) if found else 0
                held.check()
                await client.kv.put("count", str(value + 1))
                counted.append(value + 1)

    faults = (FaultKind.POWER, FaultKind.PARTITION, FaultKind.LOSS)
    simulate(count, count, seeds=[3], faults=faults, seconds=60)
    assert counted == list(range(1, 11))


def test_a_service_that_fails_is_named_with_its_seed() -> None:
    async def broken(client: quorate.AsyncClient) -> None:
        await client.kv.put("a", "b")
        raise RuntimeError("out of paper")

    with pytest.raises(SimulationFailed, match=r"seed 5.*out of paper"):
        simulate(broken, seeds=[5], faults=())


def test_hours_pass_in_a_moment() -> None:
    seen: list[float] = []

    async def slow(client: quorate.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await asyncio.sleep(20)
        await client.kv.put("a", "b")
        seen.append(loop.time() - begin)

    simulate(slow, seeds=[1], faults=())
    assert seen[0] >= 20


def test_the_real_world_is_out_of_reach() -> None:
    async def dials(_: quorate.AsyncClient) -> None:
        await asyncio.open_connection("127.0.0.1", 80)

    with pytest.raises(SimulationFailed, match="NotImplementedError"):
        simulate(dials, seeds=[1], faults=())

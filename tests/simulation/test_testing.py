"""Users' services in a simulated world."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import quorate
from quorate.testing import FaultKind, SimulationFailed, simulate

SUITE = """
import quorate


async def greet(client: quorate.AsyncClient) -> None:
    await client.kv.put("greeting", "hello")


def test_it_greets(quorate_simulation):
    results = quorate_simulation(greet, seconds=12)
    assert [result.seed for result in results] == [4, 5]
"""


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


def test_the_fixture_runs_the_seeds_that_were_asked_for(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["quorate.testing.plugin"]\n')
    (tmp_path / "test_greeting.py").write_text(SUITE)

    def suite(seeds: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", "--quorate-seeds", seeds, str(tmp_path)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = suite("4-5")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    refused = suite("few")
    assert "--quorate-seeds few: give a number" in refused.stdout
    assert refused.returncode

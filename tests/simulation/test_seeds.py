"""Whole clusters in virtual time: no seed breaks a promise, and a seed is one run for ever."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from quorate.simulation.habits.sets import SETS
from quorate.simulation.plan import draw_plan
from quorate.simulation.workload import HABITS, Habit
from quorate.simulation.world import Result, World

SEEDS = 500
CHUNK = 20
REPLAYED = [
    line
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nodes that are killed on purpose would fill the log."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    logging.disable(logging.NOTSET)


def run(seed: int, habits: Sequence[Habit] = HABITS) -> Result:
    return World(draw_plan(seed), habits=habits).run()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + CHUNK):
        result = run(seed)
        assert not result.violations, f"quorate simulate --seed {seed}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("line", REPLAYED)
def test_a_seed_that_found_a_bug_finds_it_no_more(line: str) -> None:
    seed, _, name = line.partition(" ")
    assert not run(int(seed), SETS[name] if name else HABITS).violations


def test_the_same_seed_gives_the_same_run_whatever_ran_before() -> None:
    alone = run(7)
    for seed in range(100, 105):
        run(seed)
    again = run(7)
    assert alone.trace == again.trace
    assert alone.steps == again.steps


def test_the_same_seed_gives_the_same_run_under_another_hash_seed() -> None:
    code = (
        "import logging; logging.disable(logging.CRITICAL)\n"
        "from quorate.simulation.habits.sets import SETS\n"
        "from quorate.simulation.plan import draw_plan\n"
        "from quorate.simulation.world import World\n"
        "for seed in (7, 11, 42):\n"
        "    print(World(draw_plan(seed)).run().trace)\n"
        "for habits in SETS.values():\n"
        "    print(World(draw_plan(7), habits=habits).run().trace)\n"
    )
    traces = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "4711")
    ]
    assert traces[0] == traces[1]
    assert traces[0].split("\n")[0] == run(7).trace


def test_different_seeds_are_different_runs() -> None:
    assert len({run(seed).trace for seed in range(5)}) == 5

"""The lock in one's own process: what it costs in memory, and what it syncs in a directory."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.recipes.workloads import Numbers
from quorate import AsyncClient, Client
from quorate.store.compare import create_revision
from quorate.store.port import Store
from quorate.store.types import (
    Content,
    Delete,
    Direction,
    Get,
    Put,
    Range,
    RangeOrder,
    prefix_end,
)

HERE: Final = "here"
SLICE: Final = 200
"""Pairs that are timed together: a clock read in each would be part of what is measured."""
BLOCK_BYTES: Final = 4096


async def memory(seconds: float) -> Numbers:
    """The pair, and the commits that it makes, in turns: both see the same machine.

    The least of the slices counts: nothing here waits, so all that disturbs it only adds.
    """
    async with AsyncClient("memory:") as client:

        async def pair() -> None:
            async with client.lock("a"):
                pass

        commits = await _commits(client.store)
        pairs_us: list[float] = []
        commits_us: list[float] = []
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            pairs_us.append(await _slice(pair) * 1e6)
            commits_us.append(await _slice(commits) * 1e6)
    both, alone = min(pairs_us), min(commits_us)
    return {
        "memory_pair_us": both,
        "memory_call_us": both / 2,
        "memory_commits_us": alone,
        "memory_recipe_us": (both - alone) / 2,
    }


def memory_blocking(seconds: float) -> Numbers:
    """The pair through `Client`: a thread hop to its loop for each half."""
    times = []
    with Client("memory:") as client:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            begin = time.perf_counter()
            with client.lock("a"):
                pass
            times.append(time.perf_counter() - begin)
    return {"memory_blocking_us": statistics.median(times) * 1e6}


async def file(directory: Path, seconds: float) -> Numbers:
    """The pair in a directory, and how often its node synced meanwhile."""
    times = []
    async with AsyncClient(f"file:{directory}") as client:
        async with client.lock("a"):
            pass
        deadline = time.perf_counter() + seconds
        with _counted_syncs() as syncs:
            while time.perf_counter() < deadline:
                begin = time.perf_counter()
                async with client.lock("a"):
                    pass
                times.append(time.perf_counter() - begin)
    return {
        "file_ms": statistics.median(times) * 1e3,
        "file_syncs": len(syncs) / len(times),
        "file_sync_ms": _one_sync(directory) * 1e3,
    }


async def _slice(work: Callable[[], Awaitable[None]]) -> float:
    begin = time.perf_counter()
    for _ in range(SLICE):
        await work()
    return (time.perf_counter() - begin) / SLICE


async def _commits(store: Store) -> Callable[[], Awaitable[None]]:
    """Return what does the two commits of a free lock, and nothing else."""
    lease = (await store.grant(10)).id
    prefix = b"commits/"
    key = prefix + b"%x" % lease
    look = Range(
        start=prefix,
        end=prefix_end(prefix),
        limit=2,
        order=RangeOrder.CREATE_REVISION,
        direction=Direction.DESCENDING,
        content=Content.KEYS,
    )

    async def commits() -> None:
        taken = await store.commit(
            when=[create_revision(key) == 0],
            then=[Put(key, b"", lease), look],
            otherwise=[Get(key), look],
        )
        await store.commit(when=[create_revision(key) == taken.revision], then=[Delete(key)])

    return commits


@contextmanager
def _counted_syncs() -> Iterator[list[int]]:
    """Note each fdatasync of this process: the node runs in a thread of it."""
    real = os.fdatasync
    calls: list[int] = []

    def counting(descriptor: int) -> None:
        calls.append(descriptor)
        real(descriptor)

    os.fdatasync = counting
    try:
        yield calls
    finally:
        os.fdatasync = real


def _one_sync(directory: Path) -> float:
    """The median time of a write of one block that overwrites, and its fdatasync."""
    times = []
    with (directory / "probe").open("wb", buffering=0) as probe:
        for _ in range(100):
            probe.seek(0)
            probe.write(bytes(BLOCK_BYTES))
            begin = time.perf_counter()
            os.fdatasync(probe.fileno())
            times.append(time.perf_counter() - begin)
    return statistics.median(times)

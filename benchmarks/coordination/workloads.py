"""What is measured. Each workload is bounded in time and returns numbers by metric name."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import psutil  # type: ignore[import-untyped]  # it ships no types

from benchmarks.coordination.drivers import DRIVERS, Driver
from benchmarks.coordination.peers import Peer

CONNECTIONS: Final = 64
LOCK_NAMES: Final = 64
CONTENDERS: Final = 16
WATCHERS: Final = 100
WATCHED_PUTS: Final = 20
FAILOVER_SECONDS: Final = 15.0
Numbers = dict[str, float]


@dataclass
class Bench:
    """A peer under test, the client that most workloads share, and how long each lasts."""

    peer: Peer
    driver: Driver
    leader: int
    seconds: float

    def new_driver(self, first: int | None = None) -> Driver:
        """Another client; its preferred node is `first`, or the leader."""
        return DRIVERS[self.peer.name](ordered(self.peer, self.leader if first is None else first))


def ordered(peer: Peer, first: int) -> list[str]:
    """The endpoints of a peer with one in front."""
    rest = [one for i, one in enumerate(peer.endpoints) if i != first]
    return [peer.endpoints[first], *rest]


@asynccontextmanager
async def clients(bench: Bench, count: int) -> AsyncIterator[list[Driver]]:
    """Clients with a connection each."""
    drivers = [bench.new_driver() for _ in range(count)]
    opened = []
    try:
        for one in drivers:
            await one.open()
            opened.append(one)
        yield drivers
    finally:
        await asyncio.gather(*(one.close() for one in opened), return_exceptions=True)


async def put_latency(bench: Bench) -> Numbers:
    """Puts one at a time."""
    times: list[float] = []
    deadline = time.perf_counter() + bench.seconds
    while time.perf_counter() < deadline and len(times) < 5000:
        begin = time.perf_counter()
        await bench.driver.put(len(times) % 1000)
        times.append(time.perf_counter() - begin)
    return {"put_ms": statistics.median(times) * 1e3}


async def puts(bench: Bench) -> Numbers:
    """Puts at three depths, with the CPU time of all four processes at the first."""
    numbers = {}
    own = psutil.Process(os.getpid())
    for depth in (64, 256, 1024):
        before = bench.peer.cpu_seconds() + _cpu(own)
        count, seconds = await bench.driver.flood("put", depth, bench.seconds)
        spent = bench.peer.cpu_seconds() + _cpu(own) - before
        numbers[f"puts_{depth}"] = count / seconds
        if depth == 64:
            numbers["cpu_100k"] = spent / max(count, 1) * 1e5
    numbers["memory_mb"] = bench.peer.memory_mb()
    return numbers


async def gets(bench: Bench) -> Numbers:
    """Linearizable gets at three depths."""
    numbers = {}
    for depth in (64, 256, 1024):
        count, seconds = await bench.driver.flood("get", depth, bench.seconds)
        numbers[f"gets_{depth}"] = count / seconds
    return numbers


async def connections(bench: Bench) -> Numbers:
    """Puts from separate connections, each one at a time."""
    async with clients(bench, CONNECTIONS) as drivers:
        await asyncio.gather(*(one.put(i) for i, one in enumerate(drivers)))
        results = await asyncio.gather(*(one.flood("put", 1, bench.seconds) for one in drivers))
    total = sum(count for count, _ in results)
    return {"puts_64_connections": total / max(seconds for _, seconds in results)}


async def lock_pair(bench: Bench) -> Numbers:
    """Acquire and release: one name one at a time, and many names in parallel."""
    driver = bench.driver
    await driver.release(await driver.acquire("single"))
    times: list[float] = []
    deadline = time.perf_counter() + bench.seconds
    while time.perf_counter() < deadline and len(times) < 3000:
        begin = time.perf_counter()
        await driver.release(await driver.acquire("single"))
        times.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    counts = await asyncio.gather(
        *(_lock_until(driver, f"many-{i}", begin + bench.seconds) for i in range(LOCK_NAMES))
    )
    return {
        "lock_pair_ms": statistics.median(times) * 1e3,
        "lock_pairs_64": sum(counts) / (time.perf_counter() - begin),
    }


async def handover(bench: Bench) -> Numbers:
    """One lock that several clients want all the time."""
    async with clients(bench, CONTENDERS) as drivers:
        for one in drivers:
            await one.release(await one.acquire("contended"))
        begin = time.perf_counter()
        counts = await asyncio.gather(
            *(_lock_until(one, "contended", begin + bench.seconds) for one in drivers)
        )
        seconds = time.perf_counter() - begin
    squares = sum(count * count for count in counts)
    jain = sum(counts) ** 2 / (len(counts) * squares) if squares else 0.0
    return {"handovers": sum(counts) / seconds, "jain": jain}


async def watch_fanout(bench: Bench) -> Numbers:
    """From a put to the moment when every watcher has seen it."""
    times: list[float] = []
    async with clients(bench, 1) as (driver,):
        waiting: dict[bytes, int] = {}
        complete = asyncio.Event()

        def seen(value: bytes) -> None:
            if value in waiting:
                waiting[value] -= 1
                if not waiting[value]:
                    complete.set()

        for _ in range(WATCHERS):
            await driver.watch(0, seen)
        await asyncio.sleep(0.3)
        deadline = time.perf_counter() + bench.seconds
        for number in range(WATCHED_PUTS):
            value = b"%256d" % number
            waiting = {value: WATCHERS}
            complete.clear()
            begin = time.perf_counter()
            await bench.driver.put(0, value)
            async with asyncio.timeout(5):
                await complete.wait()
            times.append(time.perf_counter() - begin)
            if time.perf_counter() > deadline:
                break
    return {"watch_100_ms": statistics.median(times) * 1e3}


async def failover(bench: Bench) -> Numbers:
    """From SIGKILL of the leader to the end of the first put that began after it.

    The client prefers a follower, and a probe starts every 10 ms, so that no retry interval
    of a library counts. The node comes back afterwards.
    """
    peer = bench.peer
    leader = await peer.ready()
    driver = bench.new_driver((leader + 1) % 3)
    await driver.open()
    probes: list[asyncio.Task[None]] = []
    first = asyncio.Event()
    gap = FAILOVER_SECONDS

    async def probe(begin: float) -> None:
        nonlocal gap
        try:
            await driver.put(1)
        except Exception:  # noqa: BLE001  every library has errors of its own for an outage
            return
        gap = min(gap, time.perf_counter() - begin)
        first.set()

    try:
        for number in range(20):
            await driver.put(number)
        peer.kill(leader)
        begin = time.perf_counter()
        while not first.is_set() and time.perf_counter() < begin + FAILOVER_SECONDS:
            probes.append(asyncio.create_task(probe(begin)))
            await asyncio.sleep(0.01)
    finally:
        for task in probes:
            task.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        await driver.close()
        peer.restart(leader)
    bench.leader = await peer.ready()
    return {"failover_s": gap}


Workload = Callable[[Bench], Awaitable[Numbers]]
WORKLOADS: Final[tuple[Workload, ...]] = (
    put_latency,
    puts,
    gets,
    connections,
    lock_pair,
    handover,
    watch_fanout,
    failover,
)


async def _lock_until(driver: Driver, name: str, deadline: float) -> int:
    count = 0
    while time.perf_counter() < deadline:
        await driver.release(await driver.acquire(name))
        count += 1
    return count


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)

"""What is measured on a cluster: each recipe by one worker, and by sixteen who want the same."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.coordination.peers import Peer
from benchmarks.coordination.workloads import ordered
from benchmarks.recipes.contestants import CONTENDERS, CONTESTANTS, Contestant
from benchmarks.recipes.metrics import RECIPES

Numbers = dict[str, float]


@dataclass
class Bench:
    """A peer under test, its leader, and how long each workload lasts."""

    peer: Peer
    leader: int
    seconds: float

    def has(self, recipe: str) -> bool:
        """Whether this peer has the recipe."""
        return recipe in CONTESTANTS[self.peer.name].recipes

    @asynccontextmanager
    async def contestants(self, count: int) -> AsyncIterator[list[Contestant]]:
        """Clients with a connection each."""
        kind = CONTESTANTS[self.peer.name]
        made = [kind(ordered(self.peer, self.leader)) for _ in range(count)]
        opened = []
        try:
            for one in made:
                await one.open()
                opened.append(one)
            yield made
        finally:
            await asyncio.gather(*(one.close() for one in opened), return_exceptions=True)


async def alone(bench: Bench, recipe: str) -> Numbers:
    """One worker takes and gives back, one time after the other."""
    async with bench.contestants(1) as (contestant,):
        pair = await contestant.worker(recipe, "alone")
        await contestant.repeat(pair, 0)
        before = contestant.requests
        begin = time.perf_counter()
        times = await contestant.repeat(pair, begin + bench.seconds)
        seconds = time.perf_counter() - begin
        return {
            f"{recipe}_ms": statistics.median(times) * 1e3,
            f"{recipe}_pairs": len(times) / seconds,
            f"{recipe}_trips": (contestant.requests - before) / len(times),
        }


async def clients(bench: Bench, recipe: str) -> Numbers:
    """Sixteen clients want the same all the time."""
    async with bench.contestants(CONTENDERS) as contestants:
        rate, trips = await _contend(bench, recipe, contestants, ["clients"] * CONTENDERS)
    return {f"{recipe}_clients": rate, f"{recipe}_clients_trips": trips}


async def workers(bench: Bench, recipe: str) -> Numbers:
    """Sixteen tasks or threads of one client want the same all the time."""
    async with bench.contestants(1) as (contestant,):
        rate, _ = await _contend(bench, recipe, [contestant] * CONTENDERS, ["workers"] * CONTENDERS)
    return {f"{recipe}_workers": rate}


async def apart(bench: Bench, recipe: str) -> Numbers:
    """Sixteen clients, each with a name of its own."""
    names = [f"apart-{number}" for number in range(CONTENDERS)]
    async with bench.contestants(CONTENDERS) as contestants:
        rate, _ = await _contend(bench, recipe, contestants, names)
    return {f"{recipe}_apart": rate}


async def _contend(
    bench: Bench, recipe: str, contestants: list[Contestant], names: list[str]
) -> tuple[float, float]:
    """Return the pairs per second of all together, and the round trips of each pair."""
    pairs = [
        (one, await one.worker(recipe, name)) for one, name in zip(contestants, names, strict=True)
    ]
    await asyncio.gather(*(one.repeat(pair, 0) for one, pair in pairs))
    own = list(dict.fromkeys(contestants))
    before = sum(one.requests for one in own)
    begin = time.perf_counter()
    deadline = begin + bench.seconds
    results = await asyncio.gather(*(one.repeat(pair, deadline) for one, pair in pairs))
    seconds = time.perf_counter() - begin
    done = sum(len(times) for times in results)
    return done / seconds, (sum(one.requests for one in own) - before) / done


Workload = Callable[[Bench, str], Awaitable[Numbers]]
WORKLOADS: Final[tuple[tuple[Workload, tuple[str, ...]], ...]] = (
    (alone, RECIPES),
    (clients, RECIPES),
    # Twice in a round, since here the peers are close and the machine is never quiet.
    (alone, RECIPES),
    (workers, RECIPES),
    (apart, ("lock",)),
)
"""Each with the recipes that it is for."""

"""For users' own tests: their code against a whole cluster in virtual time, with faults.

A service is an `async def` that takes an `AsyncClient`. It runs in a process of its own in a
simulated world, together with a real cluster: what it waits for takes no time, and what can go
wrong between it and the cluster does go wrong, from a seed that repeats it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Final, TypeAlias

from quorate.client.asynchronous import AsyncClient
from quorate.simulation.faults import FaultKind
from quorate.simulation.plan import draw_plan
from quorate.simulation.workload import Habit, Habits
from quorate.simulation.world import Result, World

__all__ = ["ALL", "FaultKind", "Result", "Service", "SimulationFailed", "simulate"]

Service: TypeAlias = Callable[[AsyncClient], Awaitable[None]]
ALL: Final = tuple(FaultKind)


class SimulationFailed(AssertionError):  # noqa: N818  a test's failure, as pytest names it
    """A run in which a service raised, or the cluster broke a promise; names the seed."""


def simulate(
    *services: Service,
    seeds: Iterable[int] = range(10),
    nodes: int = 3,
    seconds: float = 30.0,
    faults: tuple[FaultKind, ...] = ALL,
) -> list[Result]:
    """Run services against a simulated cluster, once per seed, and return what came of it.

    Each service gets a client of its own, and is cancelled at the end of the run if it has
    not ended. A service that was killed (`FaultKind.CLIENT_KILL`) is started anew. Raises
    SimulationFailed with the seed when a service raises, or the cluster breaks a promise:
    the same seed then repeats the run.
    """
    results = []
    for seed in seeds:
        plan = draw_plan(seed, nodes=nodes, seconds=seconds, kinds=faults)
        result = World(plan, habits=[_habit(service) for service in services]).run()
        if result.violations:
            first = result.violations[0]
            raise SimulationFailed(
                f"seed {seed}, after {first.at / 1e9:.3f} simulated seconds: "
                f"{first.checker}: {first.text}"
            )
        results.append(result)
    return results


def _habit(service: Service) -> Habit:
    async def live(_habits: Habits, client: AsyncClient, _name: str, _chance: Random) -> None:
        await service(client)

    return live

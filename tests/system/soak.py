"""Real nodes, real clients, real faults, judged by the simulator's checkers.

`python -m tests.system.soak --minutes 10`, or `make soak MINUTES=10`. Nodes live in network
namespaces where that is possible (root and iproute2), where links are cut too, and on small
disks of their own where something may be mounted, which are filled up. The clients
have the habits of the simulated ones, and their history goes to the same checkers.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

from tests.system import small_disks
from tests.system.namespaces import Network, cluster_in, inside, unavailable
from tests.system.workloads import same_state

import quorate
from quorate.cli.processes import LocalCluster, LocalNode
from quorate.errors import QuorateError
from quorate.simulation.checkers.linearizability import check_linearizability
from quorate.simulation.checkers.locks import check_locks
from quorate.simulation.checkers.watches import check_watches
from quorate.simulation.evidence import Change, Evidence, Outcome
from quorate.simulation.scheduler import Scheduler
from quorate.simulation.workload import HABITS, PREFIX, Habits, leaseholder

NODES = 3
DISK = "256m"
CALM_SECONDS = 10.0
SECOND = 1_000_000_000


class RealTime(Scheduler):
    """The habits ask the scheduler for the time: here it is the machine's."""

    def __init__(self) -> None:
        super().__init__(0)
        self._begin = time.monotonic_ns()

    @property
    def now(self) -> int:
        return time.monotonic_ns() - self._begin

    @now.setter
    def now(self, _: int) -> None:
        """Time goes by itself."""


class Soak:
    """One run on a cluster of real processes."""

    def __init__(
        self, cluster: LocalCluster, network: Network | None, seconds: float, *, small: bool
    ) -> None:
        self._cluster = cluster
        self._kinds = ["kill", "pause", "kill all"]
        if network is not None:
            self._kinds.append("cut")
        if small:
            self._kinds.append("full disk")
        self._network = network
        self._clock = RealTime()
        self.evidence = Evidence(lambda: self._clock.now)
        self._habits = Habits(
            self._clock,
            self.evidence,
            1 << 30,
            int(seconds * SECOND),
            lambda _: quorate.AsyncClient(self._cluster.url, timeout=10),
        )
        self._seconds = seconds
        self.faults: dict[str, int] = {}

    async def run(self, seed: int) -> list[str]:
        """Run, let the cluster heal, and return what the checkers found."""
        chance = Random(seed)
        await self._cluster.ready()
        clients = [quorate.AsyncClient(self._cluster.url, timeout=10) for _ in HABITS]
        tasks = [
            asyncio.ensure_future(habit(self._habits, client, f"c{number}", Random(number)))
            for number, (habit, client) in enumerate(zip(HABITS, clients, strict=True))
            if habit is not leaseholder
        ]
        await self._torment(chance, time.monotonic() + self._seconds)
        self._heal()
        await self._cluster.ready()
        await same_state(self._cluster)
        await self._read_truth()
        await self._watches_reach(self.evidence.changes[-1].revision)
        failed = [task for task in tasks if task.done() and task.exception()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients:
            with suppress(QuorateError):
                await client.close()
        return [f"a client failed: {task.exception()!r}" for task in failed] + self._judge()

    async def _torment(self, chance: Random, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(chance.uniform(0.5, 3.0))
            node = chance.choice(self._cluster.nodes)
            fault = chance.choice(self._kinds)
            if fault == "kill all" and chance.random() < 0.8:
                fault = "kill"
            self.faults[fault] = self.faults.get(fault, 0) + 1
            await self._strike(fault, node, chance.uniform(0.1, 3.0))

    async def _strike(self, fault: str, node: LocalNode, lasting: float) -> None:
        number = self._cluster.nodes.index(node) + 1
        if fault == "cut":
            assert self._network is not None
            others = [each for each in range(1, NODES + 1) if each != number]
            self._network.part([number], others)
            await asyncio.sleep(lasting)
            self._network.heal()
        elif fault == "pause":
            assert node.process is not None
            node.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(lasting)
            node.process.send_signal(signal.SIGCONT)
        elif fault == "full disk":
            small_disks.fill(node.directory)
            await asyncio.sleep(lasting)
            small_disks.empty(node.directory)
        else:
            struck = self._cluster.nodes if fault == "kill all" else [node]
            for each in struck:
                each.kill()
            await asyncio.sleep(lasting)
            for each in struck:
                each.start()

    def _heal(self) -> None:
        if self._network is not None:
            self._network.heal()
        for node in self._cluster.nodes:
            if not node.running:
                node.start()

    async def _read_truth(self) -> None:
        """Every change of the keys, from the cluster's own history."""
        async with quorate.AsyncClient(self._cluster.url, timeout=30) as client:
            last = await client.kv.put(PREFIX + b"0", self._habits.value())
            stream = client.kv.watch(prefix=PREFIX, from_revision=1)
            async with stream, asyncio.timeout(60):
                async for event in stream:
                    revision = event.kv.mod_revision
                    self.evidence.changes.append(Change(revision, 0, event.kv))
                    if revision >= last:
                        return

    async def _watches_reach(self, revision: int) -> None:
        async with asyncio.timeout(30):
            while self.evidence.watches[-1].reached < revision:  # noqa: ASYNC110  they run on
                await asyncio.sleep(0.05)

    def _judge(self) -> list[str]:
        evidence = self.evidence
        found = list(check_linearizability(evidence.operations).violations)
        found += check_watches(evidence.watches, evidence.changes)
        found += check_locks(evidence.holds)
        written: dict[bytes, int] = {}
        for change in evidence.changes:
            if change.kv.version:
                if change.kv.value in written:
                    found.append(f"{change.kv.value!r} was written twice")
                written[change.kv.value] = change.revision
        for operation in evidence.operations:
            told = operation.outcome is Outcome.OK and operation.value
            held = operation.kind.value == "put" or operation.succeeded
            if told and held and written.get(operation.value) != operation.revision:
                found.append(f"{operation.value!r} was acknowledged and is not where it was told")
            if operation.outcome is Outcome.FAILED and operation.value in written:
                found.append(f"{operation.value!r} was said to have failed, and is there")
        return found


def soak(directory: Path, seconds: float, seed: int) -> tuple[list[str], Soak]:
    """Run a soak in a directory; return what was found, and the run."""
    with ExitStack() as stack:
        network = None
        if unavailable():
            cluster = LocalCluster(directory / "cluster", NODES, 0)
        else:
            network = Network(NODES)
            stack.callback(network.close)
            cluster = cluster_in(network, directory / "cluster")
            stack.enter_context(inside(network.hub))
        small = small_disks.mountable()
        for node in cluster.nodes:
            if small:
                node.directory.mkdir(parents=True)
                small_disks.mount(node.directory, f"size={DISK},mode=0700")
                stack.callback(small_disks.unmount, node.directory)
            stack.callback(node.kill)
        cluster.start()
        run = Soak(cluster, network, seconds, small=small)
        return asyncio.run(run.run(seed)), run


def main(arguments: Sequence[str]) -> int:
    """Run for a while; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="quorate-soak-") as directory:
        found, run = soak(Path(directory), 60 * parsed.minutes, parsed.seed)
    for each in found:
        print(each)
    print(
        f"{len(run.evidence.operations)} operations, {len(run.evidence.holds)} locks held, "
        f"{len(run.evidence.changes)} changes, faults {run.faults}: {len(found)} broken promises"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

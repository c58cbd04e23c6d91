"""A world: a cluster, its clients, its faults, from the first moment to the last judgement.

Law: one plan gives one run, byte for byte. The run stops at the first broken promise.
"""

from __future__ import annotations

import gc
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from quorate.client.asynchronous import AsyncClient
from quorate.engines.cluster import ClusterStore
from quorate.node import NodeConfig
from quorate.protocol.raft import Role
from quorate.simulation.disk import VirtualFiles
from quorate.simulation.evidence import Evidence, Violation
from quorate.simulation.judge import judge
from quorate.simulation.nemesis import Nemesis
from quorate.simulation.network import VirtualNetwork
from quorate.simulation.nodes import DATA, PORT, Machine
from quorate.simulation.observer import Observer
from quorate.simulation.operator import Operator
from quorate.simulation.plan import Plan
from quorate.simulation.process import Process
from quorate.simulation.scheduler import MILLISECOND, SECOND, Scheduler
from quorate.simulation.workload import HABITS, Habit, Habits, put
from quorate.store.port import Store

FINAL_NS: Final = 20 * SECOND
"""How long after the quiet period everything may take to be well again."""
CLIENT_RESTART_NS: Final = SECOND


class Result(msgspec.Struct, frozen=True):
    """What came of one run."""

    seed: int
    violations: tuple[Violation, ...]
    trace: str
    simulated_seconds: float
    wall_seconds: float
    steps: int
    operations: int
    elections: int
    faults: dict[str, int]


class World:
    """One run of one plan."""

    def __init__(
        self, plan: Plan, *, story: bool = False, habits: Sequence[Habit] = HABITS
    ) -> None:
        self.plan = plan
        self._habits = habits
        self.scheduler = Scheduler(plan.seed)
        if story:
            self.scheduler.trace.lines = []
        self.evidence = Evidence(lambda: self.scheduler.now, self.scheduler.halt)
        self.network = VirtualNetwork(self.scheduler)
        self.observer = Observer(self.scheduler, self.evidence)
        self.machines: dict[str, Machine] = {}
        self.doomed: dict[str, None] = {}
        self._peers = tuple(f"n{number}=n{number}:{PORT}" for number in range(1, plan.nodes + 1))
        for number in range(1, plan.nodes + 1):
            self._add_machine(
                f"n{number}",
                NodeConfig(
                    name=f"n{number}",
                    data_dir=DATA,
                    listen=f"n{number}:{PORT}",
                    peers=self._peers,
                    insecure=True,
                    snapshot_entries=plan.snapshot_entries,
                ),
            )
        self.operator = Operator(self)
        self.nemesis = Nemesis(self)
        self.habits = Habits(
            self.scheduler,
            self.evidence,
            plan.operations_max,
            plan.duration - SECOND,
            lambda name: self._connect(self.clients[name]),
        )
        self.clients: dict[str, Process] = {}
        self._client_lives: dict[str, int] = {}
        self._stores: dict[str, Store] = {}
        """What each client has open for its whole life."""

    def run(self) -> Result:
        """Run the plan to its end or to the first violation."""
        begin = time.perf_counter()
        collecting = gc.isenabled()
        # What nobody awaited shows itself in this run, and not in whichever comes later; what
        # the coroutines of dead processes say while they are taken apart is of no interest.
        gc.disable()
        unraisable, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            self._live()
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                self._end()
                gc.collect()
            sys.unraisablehook = unraisable
            if collecting:
                gc.enable()
        return Result(
            seed=self.plan.seed,
            violations=tuple(self.evidence.violations),
            trace=self.scheduler.trace.digest,
            simulated_seconds=self.scheduler.now / SECOND,
            wall_seconds=time.perf_counter() - begin,
            steps=self.scheduler.steps,
            operations=len(self.evidence.operations),
            elections=self.observer.agreement.elections,
            faults={kind.value: count for kind, count in self.nemesis.struck.items()},
        )

    def run_for_evidence(self) -> Evidence:
        """Run the plan and return what was seen."""
        self.run()
        return self.evidence

    def _live(self) -> None:
        for machine in list(self.machines.values()):
            machine.start()
        for number in range(len(self._habits)):
            self._start_client(f"c{number}")
        self.nemesis.arm(self.plan.faults)
        self.scheduler.at(self.plan.quiet_from, self._quiet)
        self._run_until(self.plan.duration)
        if not self.evidence.violations:
            self._converge()
        if not self.evidence.violations:
            judge(
                self.evidence, self.plan, self.scheduler.now, self.observer.agreement.last_election
            )

    def _run_until(self, when: int, stop: Callable[[], bool] | None = None) -> None:
        self.scheduler.run(when, stop)
        self._unforeseen()

    def _unforeseen(self) -> None:
        processes = [(name, process) for name, process in self.clients.items()]
        processes += [
            (name, machine.process)
            for name, machine in self.machines.items()
            if machine.process is not None
        ]
        for name, process in processes:
            for failure in process.loop.failures:
                self.observer.fail("no unforeseen error", f"{name}: {failure}")
            process.loop.failures.clear()
            for task in process.tasks:
                if process.alive and task.done() and not task.cancelled() and task.exception():
                    self.observer.fail("no unforeseen error", f"{name}: {task.exception()!r}")
            process.tasks = [task for task in process.tasks if not task.done()]

    def _quiet(self) -> None:
        """From now on nothing goes wrong any more."""
        self.note("quiet: no more faults")
        self.network.weather.calm()
        for machine in self.machines.values():
            machine.files.calm()
            if machine.process is not None:
                machine.process.disk_speed.slow = 1.0
            machine.start()

    def _converge(self) -> None:
        """Everything must be well again: writes, locks, and equal replicas."""
        process = Process(self.network, "final", 1, VirtualFiles())
        client_done: list[str] = []

        async def last_words() -> None:
            async with AsyncClient(self._url(), ports=process.ports) as client:
                await put(self.habits, client, "final", b"k/0")
                for name in ("locks/a", "locks/b"):
                    async with client.lock(name, ttl=2.0):
                        client_done.append(name)
            client_done.append("all")

        task = process.start(last_words())
        deadline = self.scheduler.now + FINAL_NS
        self._run_until(deadline, lambda: task.done() and self._agree())
        if self.evidence.violations:
            return
        if not task.done():
            missing = "the locks" if client_done else "a write"
            self.observer.fail("liveness", f"{missing} did not go through after all faults ended")
        elif task.exception() is not None:
            self.observer.fail("liveness", f"after all faults ended: {task.exception()!r}")
        elif self._pending():
            self.observer.fail("liveness", f"after all faults ended {self._pending()}")
        elif not self._agree():
            states = ", ".join(
                f"{name}: {machine.node.applied_index if machine.node else 'down'}"
                for name, machine in self.machines.items()
                if machine in self.standing()
            )
            self.observer.fail("liveness", f"the nodes did not come together: {states}")
        else:
            self._compare_digests()

    def _agree(self) -> bool:
        """Whether all nodes have applied the same entries, and all watches have caught up."""
        serving = [machine for machine in self.standing() if machine.refusal is None]
        if not all(machine.serving for machine in serving):
            return False
        applied = {machine.node.applied_index for machine in serving if machine.node is not None}
        newest = max(
            (each.revision for each in self.evidence.changes if each.kv.key.startswith(b"k/")),
            default=0,
        )
        open_logs = {log.name: log for log in self.evidence.watches}
        caught_up = all(
            log.reached >= newest for log in open_logs.values() if self._can_arrive(log.name)
        )
        return len(applied) == 1 and caught_up and not self._pending()

    def _can_arrive(self, name: str) -> bool:
        """Whether a client lives, and knows a member of today.

        If all that it knew were replaced before it noticed that its connection was dead, nothing
        leads it to the others.
        """
        store = self._stores.get(name)
        known = store.addresses if isinstance(store, ClusterStore) else ()
        today = [machine.address for machine in self.standing()]
        return self.clients[name].alive and any(address in today for address in known)

    def _pending(self) -> str:
        """What a living client still waits for, in words."""
        for name, words in self.habits.pending.items():
            if self._can_arrive(name) and (waits_for := words()):
                return f"{name} {waits_for}"
        return ""

    def _compare_digests(self) -> None:
        digests = {
            machine.name: self.observer.machines[machine.name].digest()
            for machine in self.standing()
            if machine.refusal is None
        }
        if len(set(digests.values())) > 1:
            self.observer.fail("replicas agree", f"the states differ: {digests}")

    def _end(self) -> None:
        """Kill what is left, so that nothing of this world stays behind."""
        for process in self.network.processes:
            process.loop.kill()
            process.take_apart()

    def note(self, text: str) -> None:
        """Add a line to the story."""
        self.scheduler.trace.note(self.scheduler.now, text)

    def standing(self) -> list[Machine]:
        """The machines that are members, or are to become so."""
        return [machine for machine in self.machines.values() if machine.wanted]

    def client_names(self) -> list[str]:
        """The hosts of clients."""
        return list(self.clients)

    def leader(self) -> Machine | None:
        """Who leads now, by the highest term."""
        best, term = None, 0
        for machine in self.standing():
            group = machine.group
            if group is None or not machine.serving or group.raft.role is not Role.LEADER:
                continue
            if group.raft.term > term:
                best, term = machine, group.raft.term
        return best

    def doom(self, machine: Machine, batches: int) -> None:
        """A disk is damaged: restart the node once that can be noticed, then replace it."""
        self.doomed[machine.name] = None
        node = machine.node
        wanted = (node.last_batch if node is not None else 0) + batches

        def look() -> None:
            if machine.node is None or machine.node.last_batch >= wanted:
                machine.kill()
                machine.restart_later(50 * MILLISECOND)
                self.scheduler.after(SECOND, self.operator.replace, machine)
            else:
                self.scheduler.after(100 * MILLISECOND, look)

        self.scheduler.after(100 * MILLISECOND, look)

    def forget(self, machine: Machine) -> None:
        """A machine was replaced."""
        self.doomed.pop(machine.name, None)

    def new_machine(self, name: str) -> Machine:
        """Return an empty machine that will join."""
        join = tuple(machine.address for machine in self.standing())
        return self._add_machine(
            name,
            NodeConfig(
                name=name,
                data_dir=DATA,
                listen=f"{name}:{PORT}",
                join=join,
                insecure=True,
                snapshot_entries=self.plan.snapshot_entries,
            ),
        )

    def _add_machine(self, name: str, config: NodeConfig) -> Machine:
        machine = Machine(
            self.network,
            self.observer,
            config,
            limits=self.plan.limits,
            tuning=self.plan.tuning,
            rate=self.plan.drift[len(self.machines) % len(self.plan.drift)],
            preemption=self.plan.preemption,
        )
        machine.note = self.note
        self.machines[name] = machine
        return machine

    def client(self, number: int) -> str:
        """The host of the client that a fault falls on."""
        names = list(self.clients)
        return names[number % len(names)]

    def kill_client(self, number: int) -> None:
        """A client's process dies; another takes its place a moment later."""
        name = self.client(number)
        process = self.clients[name]
        if process.alive:
            self.note(f"client {name} is killed")
            process.kill()
            self.scheduler.after(CLIENT_RESTART_NS, self._start_client, name)

    def _connect(self, process: Process) -> AsyncClient:
        return AsyncClient(self._url(), timeout=self.plan.client_timeout, ports=process.ports)

    def _url(self) -> str:
        return "quorate://" + ",".join(machine.address for machine in self.standing())

    def _start_client(self, name: str) -> None:
        if self.habits.scheduler.now >= self.habits.until:
            return
        life = self._client_lives.get(name, 0) + 1
        self._client_lives[name] = life
        number = int(name[1:])
        rate = self.plan.drift[-1 - number % len(self.plan.drift)]
        process = Process(self.network, name, life, VirtualFiles(), rate=rate)
        process.loop.preempt(self.plan.preemption)
        self.clients[name] = self.habits.processes[name] = process
        habit = self._habits[number]
        chance = self.scheduler.stream(f"habit/{name}/{life}")

        async def live() -> None:
            client = self._connect(process)
            self._stores[name] = client.store
            await habit(self.habits, client, name, chance)

        process.start(live())

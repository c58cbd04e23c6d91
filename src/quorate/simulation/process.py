"""A simulated process: its loop, its clocks, its disk, its place in the network.

Law: what a process can reach of the world is its `Ports`, and all of them end with it. The
disk outlives it, as a disk does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

from quorate.runtime.ports import Ports
from quorate.simulation.disk import PowerLost, VirtualFiles
from quorate.simulation.loop import ProcessLoop
from quorate.simulation.network import Host, VirtualNetwork
from quorate.simulation.scheduler import MICROSECOND, SECOND, Scheduler

Result = TypeVar("Result")
WALL_EPOCH_NS = 1_800_000_000 * SECOND


class DiskSpeed:
    """How long one piece of background work takes; a fault makes it slow for a while."""

    def __init__(self) -> None:
        self.base_ns = 150 * MICROSECOND
        self.jitter_ns = 250 * MICROSECOND
        self.slow = 1.0

    def draw(self, chance: Random) -> int:
        """Draw the nanoseconds for one piece of work."""
        return int((self.base_ns + chance.random() * self.jitter_ns) * self.slow)


class VirtualClock:
    """The two clocks of a process. The wall clock may jump; nothing may depend on it."""

    def __init__(self, loop: ProcessLoop) -> None:
        self._loop = loop
        self.wall_offset_ns = 0

    def monotonic(self) -> int:
        """The process's own monotonic clock."""
        return self._loop.local_now

    def wall(self) -> int:
        """Unix time, as this machine believes it."""
        return WALL_EPOCH_NS + self._loop.local_now + self.wall_offset_ns


class VirtualRandomness:
    """Identifiers and jitter from the seed."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def bits(self, count: int) -> int:
        """Return a number of `count` random bits."""
        return self._chance.getrandbits(count)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`."""
        return self._chance.uniform(low, high)


class VirtualBackground:
    """One thread's work, done in order, each piece when its time is over."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._queue: deque[tuple[Callable[..., Any], tuple[object, ...], asyncio.Future[Any]]]
        self._queue = deque()
        self._busy = False

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run `function(*arguments)` after a while and return or raise what it does."""
        outcome: asyncio.Future[Result] = self._process.loop.create_future()
        self._queue.append((function, arguments, outcome))
        self._begin()
        return await outcome

    def close(self) -> None:
        """Do what was asked for, then end."""
        while self._queue:
            self._perform()

    def power_cut(self) -> None:
        """The machine stops in the middle of what is being done, if anything is."""
        if not self._queue:
            return
        function, arguments, _ = self._queue.popleft()
        self._queue.clear()
        process = self._process
        process.files.lose_power(process.disk_chance.randrange(6))
        try:
            function(*arguments)
        except PowerLost:
            pass
        except Exception:  # noqa: BLE001  nobody is left to hear of it
            return

    def _begin(self) -> None:
        if self._queue and not self._busy:
            self._busy = True
            process = self._process
            delay = process.disk_speed.draw(process.disk_chance)
            process.scheduler.after(delay, self._finish)

    def _finish(self) -> None:
        self._busy = False
        if self._process.loop.alive:
            self._perform()
            self._begin()

    def _perform(self) -> None:
        if not self._queue:
            return
        function, arguments, outcome = self._queue.popleft()
        try:
            result = function(*arguments)
        except Exception as error:  # noqa: BLE001  the awaiter decides
            self._process.loop.enter(_settle, outcome, None, error)
        else:
            self._process.loop.enter(_settle, outcome, result, None)


def _settle(outcome: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(error)


class Process:
    """One life of a process on a host. `rate` is how fast its clock runs."""

    def __init__(
        self,
        network: VirtualNetwork,
        name: str,
        life: int,
        files: VirtualFiles,
        *,
        rate: float = 1.0,
    ) -> None:
        self.name = name
        self.scheduler: Scheduler = network.scheduler
        chance = self.scheduler.stream(f"{name}/{life}")
        self.disk_chance = self.scheduler.stream(f"{name}/{life}/disk")
        self.loop = ProcessLoop(self.scheduler, chance, rate)  # type: ignore[abstract]  # what is missing raises
        self.host: Host = network.host(name, self.loop)
        network.processes.append(self)
        self.files = files
        self.disk_speed = DiskSpeed()
        self.clock = VirtualClock(self.loop)
        self._backgrounds: list[VirtualBackground] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.ports = Ports(
            files=files,
            network=self.host,
            clock=self.clock,
            randomness=VirtualRandomness(chance),
            background=self._background,
        )

    @property
    def alive(self) -> bool:
        """Whether the process lives."""
        return self.loop.alive

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start a task in the process."""
        task = self.loop.start(coroutine, self.name)
        self.tasks.append(task)
        return task

    def kill(self) -> None:
        """SIGKILL: what the kernel holds for the process is kept, its connections are reset."""
        if self.loop.alive:
            self.loop.kill()
            self.host.reset_all()
            for background in self._backgrounds:
                background.power_cut()
            self.files.revive()

    def cut_power(self) -> VirtualFiles:
        """Power is lost in the middle of everything; return the disk as it is afterwards.

        Of what was not synced each sector survives or not, as the draw of this cut says.
        """
        self.loop.kill()
        self.host.vanish()
        for background in self._backgrounds:
            background.power_cut()
        chance = self.disk_chance
        likelihood = chance.choice((0.0, 0.5, 0.9, 1.0))
        return self.files.crash(lambda: chance.random() < likelihood)

    def take_apart(self) -> None:
        """Close what the coroutines of a dead process hold, now and not at some later time."""
        for task in asyncio.all_tasks(self.loop):
            with suppress(RuntimeError):
                task.get_coro().close()

    def _background(self, _: str) -> VirtualBackground:
        background = VirtualBackground(self)
        self._backgrounds.append(background)
        return background

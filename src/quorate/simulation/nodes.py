"""The machines of a simulated cluster: started, stopped, and brought back as an operator would.

A node that stops by itself is started again after a moment, as systemd does, unless its disk
is damaged: then somebody has to replace it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quorate.errors import LogDamaged, QuorateError, SnapshotDamaged, StorageError
from quorate.kv.machine import KeyValueMachine
from quorate.node import Node, NodeConfig
from quorate.node.config import Tuning
from quorate.runtime.host import Group
from quorate.simulation.disk import VirtualFiles
from quorate.simulation.network import VirtualNetwork
from quorate.simulation.observer import Observer
from quorate.simulation.process import Process
from quorate.simulation.scheduler import SECOND
from quorate.store.limits import Limits

PORT: Final = 7400
RESTART_NS: Final = SECOND // 2
DATA: Final = "/data"


class Machine:
    """One host with a disk, on which a node runs or does not."""

    def __init__(  # noqa: PLR0913  everything about a machine is drawn by its world
        self,
        network: VirtualNetwork,
        observer: Observer,
        config: NodeConfig,
        *,
        limits: Limits,
        tuning: Tuning,
        rate: float,
        preemption: int,
    ) -> None:
        self.name = config.name
        self.config = config
        self._network = network
        self._observer = observer
        self._limits = limits
        self._tuning = tuning
        self._rate = rate
        self._preemption = preemption
        self._lives = 0
        self.files = VirtualFiles()
        self.process: Process | None = None
        self.node: Node | None = None
        self.group: Group | None = None
        self.wanted = True
        """Whether the operator wants it to run; else it stays down."""
        self.damaged = False
        """The disk forgot something that was durable."""
        self.refusal: QuorateError | None = None
        """Why it did not start, when the disk is the reason."""
        self.serving = False
        self.note: Callable[[str], None] = lambda _: None

    @property
    def address(self) -> str:
        """Where clients and peers reach it."""
        return f"{self.name}:{PORT}"

    @property
    def running(self) -> bool:
        """Whether a process lives there."""
        return self.process is not None and self.process.alive

    def start(self) -> None:
        """Start the node, if it does not run."""
        if self.running or not self.wanted or self.refusal is not None:
            return
        self._lives += 1
        self.process = Process(self._network, self.name, self._lives, self.files, rate=self._rate)
        self.process.host.is_node = True
        self.process.loop.preempt(self._preemption)
        self.note(f"{self.name} starts")
        self.process.start(self._live(self.process))

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None and self.process.alive:
            self.note(f"{self.name} is killed")
            self._over()
            self.process.kill()

    def cut_power(self) -> None:
        """The machine loses power."""
        if self.process is not None and self.process.alive:
            self.note(f"{self.name} loses power")
            self._over()
            self.files = self.process.cut_power()

    def restart_later(self, delay: int) -> None:
        """Start again after a while."""
        self._network.scheduler.after(delay, self.start)

    def _over(self) -> None:
        self.node = self.group = None
        self.serving = False

    async def _live(self, process: Process) -> None:
        node = Node(self.config, self._limits, tuning=self._tuning, ports=process.ports)
        node.on_assembled = self._assembled
        self.node = node
        try:
            await node.start()
        except (QuorateError, OSError) as error:
            self._stopped(process, error)
            return
        self.serving = True
        self._stopped(process, await node.failed)

    def _assembled(self, group: Group, machine: KeyValueMachine) -> None:
        self.group = group
        self._observer.attach(self.name, group, machine, damaged=self.damaged)

    def _stopped(self, process: Process, error: BaseException) -> None:
        self.note(f"{self.name} stops: {type(error).__name__}: {str(error)[:160]}")
        damage = isinstance(error, LogDamaged | SnapshotDamaged) or (
            isinstance(error, StorageError) and "damaged" in str(error)
        )
        if damage:
            self.refusal = error if isinstance(error, QuorateError) else None
            if not self.damaged:
                self._observer.fail(
                    "no false damage", f"{self.name} found damage on a disk that has none: {error}"
                )
        elif not isinstance(error, QuorateError | OSError):
            self._observer.fail("no unforeseen error", f"{self.name} stopped by {error!r}")
        self._over()
        process.kill()
        self.restart_later(RESTART_NS)

"""Nodes as child processes on this machine: for `dev`, `demo` and tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from quorate.engines.cluster.probe import probe
from quorate.errors import ConfigurationError, QuorateError, Unavailable
from quorate.kv.requests import Status

HTTP_OFFSET: Final = 100
ETCD_STEP: Final = 2
START_SECONDS: Final = 60.0


class Ports(NamedTuple):
    """Where one node listens; `etcd` 0: it does not speak etcd's API."""

    node: int
    http: int
    etcd: int = 0


class LocalNode:
    """One node in a process of its own."""

    def __init__(self, name: str, directory: Path, ports: Ports, peers: str) -> None:
        self.name = name
        self.directory = directory
        self.address = f"127.0.0.1:{ports.node}"
        self.http = f"127.0.0.1:{ports.http}"
        self.etcd = f"127.0.0.1:{ports.etcd}" if ports.etcd else ""
        self._peers = peers
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id, 0 when there is no process."""
        return self.process.pid if self.process else 0

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def start(self, *extra: str) -> None:
        """Start the process; it ends when this one does."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [sys.executable, "-m", "quorate", "serve", "--name", self.name]
        command += ["--data-dir", str(self.directory), "--listen", self.address]
        command += ["--http", self.http, "--parent", str(os.getpid())]
        command += ["--peers", self._peers] if self._peers else []
        command += ["--etcd-listen", self.etcd] if self.etcd else []
        with (self.directory / "log.jsonl").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [*command, *extra],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Out of reach of a terminal's Ctrl-C. A session of its own would be so as well, but
                # the kernel may share out the CPUs by sessions, and wake each of them late.
                process_group=0,
            )

    def kill(self) -> None:
        """End the process as a power cut would: SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End the process cleanly."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    async def settled(self, seconds: float) -> bool:
        """Wait, at most so long, until the node answers; return whether it runs then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.running and await self.status() is None:  # noqa: ASYNC110  another process tells no event
                    await asyncio.sleep(0.05)
        return self.running

    async def status(self) -> Status | None:
        """Return how the node is, None when it does not answer."""
        if not self.running:
            return None
        try:
            return await probe(self.address, 0)
        except (QuorateError, OSError):
            return None


class LocalCluster:
    """Several nodes on 127.0.0.1, at ports from `base_port` on (0: free ones).

    With `etcd_port` they serve etcd's clients too, at every second port from it on that is free
    (0: free ones).
    """

    def __init__(
        self, directory: Path, nodes: int, base_port: int, etcd_port: int | None = None
    ) -> None:
        if not 1 <= nodes <= 7:
            raise ConfigurationError(f"a cluster has 1 to 7 nodes, not {nodes}")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        ports = _ports(directory, nodes, base_port, etcd_port)
        names = [f"node{number}" for number in range(1, len(ports) + 1)]
        peers = ",".join(
            f"{name}=127.0.0.1:{each.node}" for name, each in zip(names, ports, strict=True)
        )
        self.nodes = [
            LocalNode(name, directory / name, each, peers)
            for name, each in zip(names, ports, strict=True)
        ]

    @property
    def url(self) -> str:
        """The URL for clients."""
        return "quorate://" + ",".join(node.address for node in self.nodes)

    def start(self) -> None:
        """Start every node."""
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        """Stop every node cleanly, all at once."""
        for node in self.nodes:
            if node.running and node.process is not None:
                node.process.send_signal(signal.SIGTERM)
        for node in self.nodes:
            with contextlib.suppress(ProcessLookupError):
                node.stop()

    async def statuses(self) -> list[Status | None]:
        """Ask every node how it is."""
        return list(await asyncio.gather(*(node.status() for node in self.nodes)))

    async def ready(self) -> LocalNode:
        """Wait until a leader serves, and return it; raises Unavailable after a minute."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for node, status in zip(self.nodes, await self.statuses(), strict=True):
                if status is not None and status.role == "leader" and status.applied_index:
                    return node
            if not any(node.running for node in self.nodes):
                break
            await asyncio.sleep(0.05)
        logs = self.nodes[0].directory / "log.jsonl"
        raise Unavailable(f"no leader was elected: see {logs}")


def _ports(directory: Path, nodes: int, base_port: int, etcd_port: int | None) -> list[Ports]:
    """Return the ports of the last time, or new ones."""
    record = directory / "ports"
    if record.exists():
        lines = record.read_text().splitlines()
        known = [Ports(*(int(number) for number in line.split())) for line in lines]
        # Clients of etcd can do without one of the nodes; its own clients and peers can't.
        return [each._replace(etcd=each.etcd if is_free(each.etcd) else 0) for each in known]
    free = iter(free_ports(3 * nodes))
    ports = []
    for place in range(nodes):
        if base_port:
            node, http = base_port + place, base_port + HTTP_OFFSET + place
        else:
            node, http = next(free), next(free)
        if etcd_port:
            wanted = etcd_port + ETCD_STEP * place
            ports.append(Ports(node, http, wanted if is_free(wanted) else 0))
        else:
            ports.append(Ports(node, http, 0 if etcd_port is None else next(free)))
    record.write_text("".join(" ".join(map(str, each)) + "\n" for each in ports))
    return ports


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of 127.0.0.1 at this moment."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()

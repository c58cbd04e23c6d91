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
from typing import Final

from quorate.engines.cluster.probe import probe
from quorate.errors import ConfigurationError, QuorateError, Unavailable
from quorate.kv.requests import Status

HTTP_OFFSET: Final = 100
START_SECONDS: Final = 60.0


class LocalNode:
    """One node in a process of its own."""

    def __init__(self, name: str, directory: Path, port: int, http_port: int, peers: str) -> None:
        self.name = name
        self.directory = directory
        self.address = f"127.0.0.1:{port}"
        self.http = f"127.0.0.1:{http_port}"
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
    """Several nodes on 127.0.0.1."""

    def __init__(self, directory: Path, nodes: int, base_port: int) -> None:
        if not 1 <= nodes <= 7:
            raise ConfigurationError(f"a cluster has 1 to 7 nodes, not {nodes}")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        ports = _ports(directory, nodes, base_port)
        names = [f"node{number}" for number in range(1, len(ports) + 1)]
        peers = ",".join(
            f"{name}=127.0.0.1:{port}" for name, (port, _) in zip(names, ports, strict=True)
        )
        self.nodes = [
            LocalNode(name, directory / name, port, http, peers)
            for name, (port, http) in zip(names, ports, strict=True)
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


def _ports(directory: Path, nodes: int, base_port: int) -> list[tuple[int, int]]:
    """Return (node, HTTP) ports: those of the last time, BASE+i, or free ones for BASE 0."""
    record = directory / "ports"
    if record.exists():
        return [
            (int(line.split()[0]), int(line.split()[1])) for line in record.read_text().splitlines()
        ]
    if base_port:
        ports = [(base_port + i, base_port + HTTP_OFFSET + i) for i in range(nodes)]
    else:
        free = free_ports(2 * nodes)
        ports = list(zip(free[:nodes], free[nodes:], strict=True))
    record.write_text("".join(f"{port} {http}\n" for port, http in ports))
    return ports


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

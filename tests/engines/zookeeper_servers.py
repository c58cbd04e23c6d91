"""Real ZooKeeper servers on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from quorate.cli.processes import free_ports
from quorate.engines.zookeeper import ZooKeeperStore
from quorate.runtime.transport.tls import TlsConfig

from .servers import START_SECONDS, Servers

JARS = "/usr/share/java/zookeeper.jar"
LOGGING = "/usr/share/java/slf4j-simple.jar"
LOG_FORM = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
TICK_MILLISECONDS = 500
HOW_TO_GET = "ZooKeeper is not installed: run `make peers`"


def installed() -> bool:
    """Whether there are servers to start."""
    return shutil.which("java") is not None and Path(JARS).exists()


class ZooKeeperServers(Servers):
    """An ensemble, or one server alone; with `tls` clients must show a certificate too."""

    def __init__(self, directory: Path, count: int = 3, tls: TlsConfig | None = None) -> None:
        super().__init__(directory, count)
        self._tls = tls
        self._ports = free_ports(3 * count)

    @property
    def addresses(self) -> list[str]:
        """Where clients connect, by server."""
        return [f"127.0.0.1:{port}" for port in self._ports[: self.count]]

    @property
    def url(self) -> str:
        """What a client opens."""
        return f"zookeeper://{','.join(self.addresses)}/quorate"

    async def ready(self) -> None:
        """Wait until they answer."""
        store = ZooKeeperStore(self.addresses, tls=self._tls, timeout=START_SECONDS)
        await store.get(b"ready")
        await store.close()

    def _command(self, server: int, home: Path) -> list[str]:
        if not (home / "data").exists():
            self._prepare(server, home)
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return [
            "java",
            *("-Xmx200m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
            *LOG_FORM,
            *(
                "-cp",
                f"{JARS}:{LOGGING}:/usr/share/java/netty-codec.jar",
                main,
                str(home / "zoo.cfg"),
            ),
        ]

    def _listening(self, port: int) -> list[str]:
        tls = self._tls
        if tls is None:
            return [f"clientPort={port}", "clientPortAddress=127.0.0.1"]
        both = Path(tls.certificate).with_suffix(".both.pem")
        key = load_pem_private_key(Path(tls.key).read_bytes(), None)
        in_pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        both.write_bytes(in_pkcs8 + Path(tls.certificate).read_bytes())
        return [
            *(f"secureClientPort={port}", "secureClientPortAddress=127.0.0.1"),
            "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
            *(f"ssl.keyStore.location={both}", f"ssl.trustStore.location={tls.authority}"),
        ]

    def _prepare(self, server: int, home: Path) -> None:
        (home / "data").mkdir(parents=True)
        (home / "data" / "myid").write_text(f"{server + 1}\n")
        count, ports = self.count, self._ports
        servers = [
            f"server.{n + 1}=127.0.0.1:{ports[count + n]}:{ports[2 * count + n]}"
            for n in range(count if count > 1 else 0)
        ]
        settings = [
            *(f"tickTime={TICK_MILLISECONDS}", "initLimit=40", "syncLimit=12", "maxClientCnxns=0"),
            *("maxSessionTimeout=120000", "admin.enableServer=false"),
            f"dataDir={home / 'data'}",
            *self._listening(ports[server]),
        ]
        (home / "zoo.cfg").write_text("\n".join([*settings, *servers]) + "\n")

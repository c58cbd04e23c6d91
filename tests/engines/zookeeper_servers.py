"""Real ZooKeeper servers on this machine."""

from __future__ import annotations

import shutil
import signal
import subprocess
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

JARS = "/usr/share/java/zookeeper.jar"
START_SECONDS = 60.0
TICK_MILLISECONDS = 500
HOW_TO_GET = "ZooKeeper is not installed: run `make peers`"


def installed() -> bool:
    """Whether there are servers to start."""
    return shutil.which("java") is not None and Path(JARS).exists()


class ZooKeeperServers:
    """An ensemble, each server a process with a directory of its own."""

    def __init__(self, directory: Path, count: int = 3, tls: TlsConfig | None = None) -> None:
        self._directory = directory
        self._count = count
        self._tls = tls
        self._ports = free_ports(3 * count)
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count

    @property
    def addresses(self) -> list[str]:
        """Where clients connect, by server."""
        return [f"127.0.0.1:{port}" for port in self._ports[: self._count]]

    @property
    def url(self) -> str:
        """What a client opens."""
        return f"zookeeper://{','.join(self.addresses)}/quorate"

    def start(self, server: int) -> None:
        """Start one, or start it again."""
        home = self._directory / f"z{server}"
        if not home.exists():
            self._prepare(server, home)
        with (home / "log").open("ab") as log:
            self._processes[server] = subprocess.Popen(
                self._command(home), cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, server: int) -> None:
        """SIGKILL."""
        process = self._processes[server]
        if process is not None:
            process.kill()
            process.wait()

    def pause(self, server: int) -> None:
        """Let one stand still."""
        self._signal(server, signal.SIGSTOP)

    def resume(self, server: int) -> None:
        """Let it go on."""
        self._signal(server, signal.SIGCONT)

    def start_all(self) -> None:
        """Start every server."""
        for server in range(self._count):
            self.start(server)

    def kill_all(self) -> None:
        """End every server."""
        for server in range(self._count):
            self.kill(server)

    async def ready(self) -> None:
        """Wait until they answer."""
        store = ZooKeeperStore(self.addresses, tls=self._tls, timeout=START_SECONDS)
        await store.get(b"ready")
        await store.close()

    def _signal(self, server: int, number: signal.Signals) -> None:
        process = self._processes[server]
        assert process is not None
        process.send_signal(number)

    def _command(self, home: Path) -> list[str]:
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return [
            "java",
            *("-Xmx200m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
            *("-cp", f"{home}:{JARS}:/usr/share/java/netty-codec.jar", main, str(home / "zoo.cfg")),
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
        count, ports = self._count, self._ports
        servers = [
            f"server.{n + 1}=127.0.0.1:{ports[count + n]}:{ports[2 * count + n]}"
            for n in range(count if count > 1 else 0)
        ]
        settings = [
            *(f"tickTime={TICK_MILLISECONDS}", "initLimit=40", "syncLimit=10", "maxClientCnxns=0"),
            *("maxSessionTimeout=120000", "admin.enableServer=false"),
            f"dataDir={home / 'data'}",
            *self._listening(ports[server]),
        ]
        (home / "zoo.cfg").write_text("\n".join([*settings, *servers]) + "\n")
        (home / "log4j.properties").write_text(
            "log4j.rootLogger=WARN, out\n"
            "log4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.SimpleLayout\n"
        )

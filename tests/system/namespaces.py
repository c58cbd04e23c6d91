"""A network of Linux namespaces: a bridge, a namespace per node, and cuts between them.

The bridge and the test itself are in the hub, so nothing outside these namespaces changes.
A cut is one-way and silent: the receiver's kernel drops what comes from the other side.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from quorate.cli.processes import LocalCluster, LocalNode, Ports

CLONE_NEWNET = 0x40000000
PORT = 7400
HUB = 254
_numbers = itertools.count()


def unavailable() -> str:
    """Return why there can be no namespaces here, "" when there can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    trial = f"quorate-{os.getpid()}-trial"
    try:
        run("ip", "netns", "add", trial)
        run("ip", "netns", "del", trial)
    except FileNotFoundError:
        return "there is no ip: apt install iproute2"
    except subprocess.CalledProcessError as error:
        return f"network namespaces can't be made here: {error.stderr.decode().strip()}"
    return ""


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread make its sockets and start its processes in a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        Path("/proc/self/ns/net").open("rb") as home,
        Path(f"/run/netns/{namespace}").open("rb") as away,
    ):
        assert libc.setns(away.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


class NamespacedNode(LocalNode):
    """A node in a namespace of its own."""

    namespace: str

    def start(self, *extra: str) -> None:
        with inside(self.namespace):
            super().start("--insecure", *extra)


class Network:
    """Namespaces for nodes 1 to `count`, joined by a bridge in the hub."""

    def __init__(self, count: int) -> None:
        self._name = f"quorate-{os.getpid()}-{next(_numbers)}"
        self._count = count
        self._cuts: list[tuple[int, int]] = []
        self.hub = f"{self._name}-hub"
        run("ip", "netns", "add", self.hub)
        run("ip", "-n", self.hub, "link", "set", "lo", "up")
        run("ip", "-n", self.hub, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", self.hub, "addr", "add", f"{self.host(HUB)}/24", "dev", "bridge")
        run("ip", "-n", self.hub, "link", "set", "bridge", "up")
        for number in range(1, count + 1):
            self._add(number)
        self._judge_first(self.hub)

    def host(self, number: int) -> str:
        """Return the address of a node, or of the hub."""
        return f"10.99.0.{number}"

    def namespace(self, number: int) -> str:
        return self.hub if number == HUB else f"{self._name}-{number}"

    def cut(self, source: int, target: int) -> None:
        """Let nothing pass from one to the other; what is on its way is lost too."""
        self._cuts.append((source, target))
        self._rule("add", source, target)

    def part(self, some: list[int], others: list[int]) -> None:
        """Let nothing pass between two sides, either way."""
        for one in some:
            for other in others:
                self.cut(one, other)
                self.cut(other, one)

    def heal(self) -> None:
        """Undo every cut."""
        while self._cuts:
            self._rule("del", *self._cuts.pop())

    def close(self) -> None:
        for number in range(1, self._count + 1):
            run("ip", "netns", "del", self.namespace(number))
        run("ip", "netns", "del", self.hub)

    def _add(self, number: int) -> None:
        name, link = self.namespace(number), f"node{number}"
        run("ip", "netns", "add", name)
        run(
            "ip", "-n", self.hub, "link", "add", link, "type", "veth", "peer", "eth0", "netns", name
        )
        run("ip", "-n", self.hub, "link", "set", link, "master", "bridge", "up")
        run("ip", "-n", name, "addr", "add", f"{self.host(number)}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        self._judge_first(name)

    def _judge_first(self, namespace: str) -> None:
        """Let rules judge a packet before the kernel finds out that it is for this host."""
        run("ip", "-n", namespace, "rule", "add", "pref", "20", "table", "local")
        run("ip", "-n", namespace, "rule", "del", "pref", "0")
        with inside(namespace):
            # Else the packets of open connections pass without being judged.
            Path("/proc/sys/net/ipv4/ip_early_demux").write_text("0")

    def _rule(self, verb: str, source: int, target: int) -> None:
        device = "bridge" if target == HUB else "eth0"
        rule = ("iif", device, "from", self.host(source), "blackhole")
        run("ip", "-n", self.namespace(target), "rule", verb, "pref", "10", *rule)


def cluster_in(network: Network, directory: Path) -> LocalCluster:
    """Return three nodes that live in the network's namespaces, not started yet."""
    cluster = LocalCluster(directory, 3, 0)
    peers = ",".join(f"node{number}={network.host(number)}:{PORT}" for number in (1, 2, 3))
    nodes: list[LocalNode] = []
    for number in (1, 2, 3):
        ports = Ports(PORT, PORT + 1)
        node = NamespacedNode(f"node{number}", directory / f"node{number}", ports, peers)
        node.address = f"{network.host(number)}:{PORT}"
        node.namespace = network.namespace(number)
        nodes.append(node)
    cluster.nodes = nodes
    return cluster

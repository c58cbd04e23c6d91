"""Which engine a URL names.

`memory:` (private), `memory:NAME` (shared in this process), `file:PATH`,
`quorate://host:port,...`,
`etcd://[user:password@]host:port,...`,
`zookeeper://[user:password@]host:port,.../root`. Without a URL the environment's QUORATE_URL
counts, else a cluster on this machine.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final
from urllib.parse import unquote

from quorate.engines.cluster import ClusterStore
from quorate.engines.memory import MemoryStore
from quorate.errors import ConfigurationError, InvalidRequest
from quorate.runtime.ports import Ports
from quorate.runtime.transport.tls import TlsConfig
from quorate.store.port import Store

DEFAULT_PORT: Final = 7400
ETCD_PORT: Final = 2379
ZOOKEEPER_PORT: Final = 2181
DEFAULT_URL: Final = f"quorate://127.0.0.1:{DEFAULT_PORT}"


def resolve_url(url: str | None) -> str:
    """Return the URL to use."""
    return url or os.environ.get("QUORATE_URL") or DEFAULT_URL


def open_store(url: str, *, tls: TlsConfig | None, timeout: float, ports: Ports) -> Store:
    """Return the engine behind a URL; raises InvalidRequest for one that names none."""
    scheme, separator, rest = url.partition(":")
    if separator and scheme == "memory":
        return MemoryStore(clock=ports.clock, randomness=ports.randomness, name=rest)
    if separator and scheme == "quorate" and rest.startswith("//"):
        return ClusterStore(parse_addresses(rest[2:]), tls=tls, timeout=timeout, ports=ports)
    if separator and scheme == "file" and rest:
        # The node is large, and is loaded by those who run one.
        embedded = import_module("quorate.embedded")
        in_files: Store = embedded.FileStore(rest.removeprefix("//"), timeout=timeout)
        return in_files
    if separator and scheme == "etcd" and rest.startswith("//"):
        return _open_etcd(rest[2:], tls=tls, timeout=timeout)
    if separator and scheme == "zookeeper" and rest.startswith("//"):
        user, hosts = _login(rest[2:])
        hosts, _, root = hosts.partition("/")
        # Loaded by those who use it, as the other large engines are.
        zookeeper = import_module("quorate.engines.zookeeper")
        in_nodes: Store = zookeeper.ZooKeeperStore(
            parse_addresses(hosts, ZOOKEEPER_PORT),
            f"/{root}",
            tls=tls,
            user=user,
            timeout=timeout,
            ports=ports,
        )
        return in_nodes
    raise InvalidRequest(
        f"no engine is behind {url!r}: use memory:, file:PATH, quorate://host:port,host:port, "
        "etcd://host:port or zookeeper://host:port/root"
    )


def _open_etcd(rest: str, *, tls: TlsConfig | None, timeout: float) -> Store:
    user, hosts = _login(rest)
    try:
        # gRPC is large, and only who has outgrown us needs it: it comes with an extra.
        engine = import_module("quorate.engines.etcd")
    except ImportError as error:
        raise ConfigurationError(
            f"etcd:// needs gRPC ({error}): pip install 'quorate[etcd]'"
        ) from error
    store: Store = engine.EtcdStore(
        parse_addresses(hosts, ETCD_PORT), tls=tls, user=user, timeout=timeout
    )
    return store


def _login(rest: str) -> tuple[tuple[str, str] | None, str]:
    """Split "user:password@hosts"."""
    login, _, hosts = rest.rpartition("@")
    name, _, password = login.partition(":")
    return ((unquote(name), unquote(password)) if login else None), hosts


def parse_addresses(text: str, default_port: int = DEFAULT_PORT) -> list[str]:
    """Split "host:port,host" into addresses; a port that is left out is `default_port`."""
    addresses = []
    for part in text.rstrip("/").split(","):
        host, colon, port = part.rpartition(":")
        if not colon:
            host, port = part, str(default_port)
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise InvalidRequest(f"{part!r} is no node's address: write host:port")
        addresses.append(f"{host}:{port}")
    return addresses

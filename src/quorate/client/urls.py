"""Which engine a URL names.

`memory:` (private), `memory:NAME` (shared in this process), `quorate://host:port,...`.
Without a URL the environment's QUORATE_URL counts, else a cluster on this machine.
"""

from __future__ import annotations

import os
from typing import Final

from quorate.engines.cluster import ClusterStore
from quorate.engines.memory import MemoryStore
from quorate.errors import InvalidRequest
from quorate.runtime.ports import Ports
from quorate.runtime.transport.tls import TlsConfig
from quorate.store.port import Store

DEFAULT_PORT: Final = 7400
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
    raise InvalidRequest(
        f"no engine is behind {url!r}: use quorate://host:port,host:port or memory:"
    )


def parse_addresses(text: str) -> list[str]:
    """Split "host:port,host" into addresses; the port defaults to 7400."""
    addresses = []
    for part in text.rstrip("/").split(","):
        host, colon, port = part.rpartition(":")
        if not colon:
            host, port = part, str(DEFAULT_PORT)
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise InvalidRequest(f"{part!r} is no node's address: write host:port")
        addresses.append(f"{host}:{port}")
    return addresses

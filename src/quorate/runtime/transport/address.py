"""Addresses as people write them: `host:port`, and `[host]:port` for IPv6.

Law: pure; a text that is no address is refused here, before anything is dialled.
"""

from __future__ import annotations

from quorate.errors import ConfigurationError

LARGEST_PORT = 65_535


def split_address(address: str) -> tuple[str, int]:
    """Return host and port; raises ConfigurationError when the text is no address."""
    host, colon, port_text = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise _invalid(address)
    if not colon or not host or not (port_text.isascii() and port_text.isdigit()):
        raise _invalid(address)
    port = int(port_text) if len(port_text) <= 5 else 0
    if not 0 < port <= LARGEST_PORT:
        raise _invalid(address)
    return host, port


def join_address(host: str, port: int) -> str:
    """Return the text that `split_address` reads."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _invalid(address: str) -> ConfigurationError:
    return ConfigurationError(
        f"{address!r} is no address: write host:port, or [host]:port for IPv6, "
        f"with a port from 1 to {LARGEST_PORT}"
    )

"""Which servers make an ensemble, and how one gets to them."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from quorate.runtime.ports import Ports


class Servers(NamedTuple):
    """Where the servers are, and how one gets there."""

    addresses: tuple[str, ...]
    ports: Ports
    tls: ssl.SSLContext | None
    login: bytes | None
    """"user:password" for the scheme "digest"."""

"""Whether a peer is the member that it says it is.

Law: with TLS, being let in by the authority makes a client and not yet a peer. A peer's
certificate has to name the member, by its name or by the host of its address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from quorate.errors import ConfigurationError
from quorate.protocol.raft import Member
from quorate.runtime.transport.address import split_address


def names_member(names: Sequence[str], member: Member) -> bool:
    """Tell whether the names in a certificate (common and alternative ones) name a member.

    A wildcard names nobody: it would fit every member alike.
    """
    try:
        host, _ = split_address(member.address)
    except ConfigurationError:  # of a peer that joins, only its word is known
        host = ""
    wanted = {_normal(member.name), _normal(host)} - {""}
    return any(_normal(name) in wanted for name in names)


def _normal(name: str) -> str:
    """Return a name as it compares: certificates write IPv6 addresses at full length."""
    try:
        return ipaddress.ip_address(name).compressed
    except ValueError:
        return name.lower()

"""The real world in one piece: what a node or a client gets when nobody simulates."""

from __future__ import annotations

from quorate.runtime.network import RealNetwork
from quorate.runtime.ports import Ports
from quorate.runtime.world import RealClock, RealFiles, RealRandomness, ThreadBackground


def real_ports() -> Ports:
    """Return this machine's files, network and clocks."""
    return Ports(
        files=RealFiles(),
        network=RealNetwork(),
        clock=RealClock(),
        randomness=RealRandomness(),
        background=ThreadBackground,
    )

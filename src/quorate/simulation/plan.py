"""What a seed stands for: a cluster, its knobs, its clients' habits and its faults.

Law: everything about a run is in its plan, so that a plan with one fault less is a run too.
"""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from quorate.node.config import Tuning
from quorate.protocol.raft import RaftConfig
from quorate.simulation.faults import Fault, FaultKind, draw_faults
from quorate.simulation.scheduler import MILLISECOND, SECOND, Scheduler
from quorate.store.limits import Limits

SETTLE_NS: Final = 2 * SECOND
QUIET_NS: Final = 8 * SECOND
DRIFT_MAX: Final = 0.02
"""How much faster or slower than true time a machine's clock may run."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times in nanoseconds of virtual time."""

    seed: int
    nodes: int
    duration: int
    faults: tuple[Fault, ...]
    tuning: Tuning
    limits: Limits
    snapshot_entries: int
    drift: tuple[float, ...]
    client_timeout: float
    """How long, in seconds, a client tries before it tells its caller."""
    preemption: int
    """Callbacks between two interruptions of a process, on average; 0 never interrupts."""
    operations_max: int = 1 << 30
    """Clients stop after so many operations: for shrinking."""

    @property
    def quiet_from(self) -> int:
        """When the last fault is over."""
        return self.duration - QUIET_NS


def draw_plan(
    seed: int,
    *,
    nodes: int = 0,
    seconds: float = 30.0,
    kinds: tuple[FaultKind, ...] = tuple(FaultKind),
) -> Plan:
    """Return the plan of a seed. `nodes` 0 draws 3 or 5 of them."""
    chance = Scheduler(seed).stream("plan")
    nodes = nodes or chance.choice((3, 3, 5))
    duration = int(seconds * SECOND)
    return Plan(
        seed=seed,
        nodes=nodes,
        duration=duration,
        faults=draw_faults(chance, kinds, SETTLE_NS, max(SETTLE_NS, duration - QUIET_NS)),
        tuning=_tuning(chance),
        limits=_limits(chance),
        snapshot_entries=chance.choice((20, 100, 1000)),
        drift=tuple(1.0 + chance.uniform(-DRIFT_MAX, DRIFT_MAX) for _ in range(16)),
        client_timeout=chance.choice((1.0, 3.0, 10.0)),
        preemption=chance.choice((0, 0, 20, 200)),
    )


def _tuning(chance: Random) -> Tuning:
    heartbeat = chance.choice((30, 100, 100)) * MILLISECOND
    raft = RaftConfig(
        heartbeat_ns=heartbeat,
        election_ns=heartbeat * chance.choice((4, 7, 7, 10)),
        disconnect_ns=chance.choice((5, 20, 20, 200)) * MILLISECOND,
        commit_delay_ns=chance.choice((1, 2, 2, 50)) * MILLISECOND,
        append_bytes_max=chance.choice((200, 4096, 1024 * 1024)),
        window_messages=chance.choice((1, 2, 128)),
        window_bytes=chance.choice((1000, 16 * 1024 * 1024)),
        chunk_bytes=chance.choice((200, 4096, 1024 * 1024)),
    )
    return Tuning(
        raft=raft,
        segment_bytes=chance.choice((4096, 16 * 1024, 64 * 1024)),
        replay_changes=chance.choice((2, 4096)),
    )


def _limits(chance: Random) -> Limits:
    return Limits(
        session_window=chance.choice((16, 4096)),
        session_ttl=chance.choice((2.0, 20.0, 60.0)),
        history_seconds=chance.choice((2.0, 5.0, 300.0)),
        page_items=chance.choice((3, 10_000)),
        outcome_bytes_kept=chance.choice((40, 1024)),
    )

"""Everything that can go wrong, drawn from a seed as a list that can be shortened.

A fault says when it strikes, what it does to whom, and for how long. `target` is a number
that is only resolved when it strikes, since who leads then is not known before. All faults
end before the quiet period, in which the cluster has to heal.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec

from quorate.simulation.scheduler import MILLISECOND, SECOND


class FaultKind(enum.StrEnum):
    """What strikes."""

    PARTITION = "partition"
    ONE_WAY = "one-way cut"
    ISOLATE = "isolated leader"
    PARTIAL = "partial partition"
    FLAP = "flapping link"
    LOSS = "message loss"
    REPEAT = "repeated messages"
    OVERTAKE = "overtaking messages"
    RESET = "connection resets"
    SPIKE = "delays"
    KILL = "kill -9"
    POWER = "power cut"
    POWER_ALL = "power cut of all"
    PAUSE = "pause"
    SLOW_DISK = "slow disk"
    FULL_DISK = "full disk"
    FAILED_SYNC = "failed fsync"
    BIT_ROT = "bit rot"
    MISDIRECTED = "misdirected write"
    ROLLING = "rolling restart"
    WALL_JUMP = "wall clock jump"
    TRANSFER = "leadership transfer"
    COMPACT = "compaction"
    REPLACE = "member replaced"
    CLIENT_KILL = "client killed"
    CLIENT_PAUSE = "client paused"
    CLIENT_CUT = "client cut off"


LASTING: Final = frozenset(
    (
        FaultKind.PARTITION,
        FaultKind.ONE_WAY,
        FaultKind.ISOLATE,
        FaultKind.PARTIAL,
        FaultKind.FLAP,
        FaultKind.LOSS,
        FaultKind.REPEAT,
        FaultKind.OVERTAKE,
        FaultKind.RESET,
        FaultKind.SPIKE,
        FaultKind.PAUSE,
        FaultKind.SLOW_DISK,
        FaultKind.FULL_DISK,
        FaultKind.KILL,
        FaultKind.POWER,
        FaultKind.CLIENT_PAUSE,
        FaultKind.CLIENT_CUT,
    )
)
RARE: Final = frozenset(
    (FaultKind.POWER_ALL, FaultKind.BIT_ROT, FaultKind.MISDIRECTED, FaultKind.ROLLING)
)
LEADER: Final = 0
"""The target number that means whoever leads at that time."""


class Fault(msgspec.Struct, frozen=True):
    """One fault. Times in nanoseconds, `strength` between 0 and 1."""

    at: int
    kind: FaultKind
    target: int
    lasting: int
    strength: float


def draw_faults(
    chance: Random, kinds: Sequence[FaultKind], begin: int, end: int
) -> tuple[Fault, ...]:
    """Draw the faults of one run between `begin` and `end`, each kind at a rate of its own.

    About half of the kinds stay away from any one run, so that the others are seen alone too.
    """
    faults = []
    for kind in kinds:
        rate = chance.choice((0.0, 0.0, 0.05, 0.15, 0.3))
        if kind in RARE:
            rate /= 3
        moment = begin
        while rate:
            moment += int(chance.expovariate(rate) * SECOND)
            if moment >= end:
                break
            lasting = int(chance.expovariate(0.6) * SECOND) + 20 * MILLISECOND
            faults.append(
                Fault(
                    at=moment,
                    kind=kind,
                    target=LEADER if chance.random() < 0.4 else chance.randrange(1, 1 << 16),
                    lasting=min(lasting, end - moment) if kind in LASTING else 0,
                    strength=chance.random(),
                )
            )
    return tuple(sorted(faults, key=lambda fault: fault.at))

"""Whether semaphores let in too many, writers met anybody, or two led or nested at once.

Law: a claim that was proven at two moments was held between them, since no lease that ended
comes back. So each claim is held at least from its first access to its last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.evidence import HoldLog

SEMAPHORE: Final = "semaphore/"
READ: Final = "rw/read/"
WRITE: Final = "rw/write/"
ELECTION: Final = "election/"
REENTRANT: Final = "re-entrant/"


def check_shares(holds: Sequence[HoldLog], permits: int = 2) -> list[str]:
    """Check all of them; the name of a hold's lock says what it is, and of which name.

    A semaphore has `permits`.
    """
    used = [hold for hold in holds if hold.accesses]
    return first_few(
        chain(
            _too_many([hold for hold in used if hold.lock.startswith(SEMAPHORE)], permits),
            _too_many([hold for hold in used if hold.lock.startswith(ELECTION)], 1),
            _too_many([hold for hold in used if hold.lock.startswith(WRITE)], 1),
            _too_many([hold for hold in used if hold.lock.startswith(REENTRANT)], 1),
            _met([hold for hold in used if hold.lock.startswith((READ, WRITE))]),
            _tokens(used),
            _nested(used),
        )
    )


def _too_many(holds: Sequence[HoldLog], most: int) -> Iterator[str]:
    """Look, at each hold's beginning, who else has it."""
    for hold in holds:
        begin = hold.accesses[0]
        beside = [
            other
            for other in holds
            if other.lock == hold.lock and other.accesses[0] <= begin < other.accesses[-1]
        ]
        if len(beside) > most:
            who = ", ".join(f"{other.client} ({other.token})" for other in beside)
            yield f"{hold.lock}: at {seconds(begin)} it was held by {who}: at most {most} may"


def _met(holds: Sequence[HoldLog]) -> Iterator[str]:
    """A writer is alone."""
    for writer in holds:
        if not writer.lock.startswith(WRITE):
            continue
        reads = READ + writer.lock.removeprefix(WRITE)
        for reader in holds:
            apart = (
                reader.accesses[-1] < writer.accesses[0] or writer.accesses[-1] < reader.accesses[0]
            )
            if reader.lock == reads and not apart:
                yield (
                    f"{writer.lock}: {writer.client} wrote from {seconds(writer.accesses[0])}, "
                    f"while {reader.client} read from {seconds(reader.accesses[0])}"
                )


def _tokens(holds: Sequence[HoldLog]) -> Iterator[str]:
    """No token names two holds."""
    holders: dict[int, HoldLog] = {}
    for hold in holds:
        first = holders.setdefault(hold.token, hold)
        if first is not hold:
            yield f"{hold.lock}: {first.client} and {hold.client} held by one token, {hold.token}"


def _nested(holds: Sequence[HoldLog]) -> Iterator[str]:
    """What is taken once more is the same hold."""
    for hold in holds:
        for token in hold.nested:
            if token != hold.token:
                yield (
                    f"{hold.lock}: {hold.client} took it once more and got token {token}, where it "
                    f"had {hold.token}"
                )

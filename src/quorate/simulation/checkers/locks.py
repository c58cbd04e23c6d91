"""Whether a resource that checks nothing was still used in the order of the locks' tokens.

Law: of two accesses under one lock name, the later one never has the smaller token. At the
very same moment, none is the later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.evidence import HoldLog


def check_locks(holds: Sequence[HoldLog]) -> list[str]:
    """Check that no holder used the resource after a later one, and that no token came twice."""
    locks: dict[str, list[HoldLog]] = {}
    for hold in holds:
        locks.setdefault(hold.lock, []).append(hold)
    return first_few(
        chain.from_iterable(
            chain(_check_tokens(of_lock), _check_accesses(of_lock)) for of_lock in locks.values()
        )
    )


def _check_tokens(holds: Sequence[HoldLog]) -> Iterator[str]:
    holders: dict[int, HoldLog] = {}
    for hold in holds:
        first = holders.setdefault(hold.token, hold)
        if first is not hold:
            yield (
                f"{hold.lock}: {first.client} and {hold.client} held it with one token, "
                f"{hold.token}"
                if first.client != hold.client
                else f"{hold.lock}: {hold.client} held it twice with one token, {hold.token}"
            )


def _check_accesses(holds: Sequence[HoldLog]) -> Iterator[str]:
    accesses = sorted(
        (at, hold.token, number) for number, hold in enumerate(holds) for at in hold.accesses
    )
    newest: HoldLog | None = None
    newest_at = 0
    told: set[int] = set()
    for at, token, number in accesses:
        hold = holds[number]
        if newest is None or token >= newest.token:
            newest, newest_at = hold, at
        elif number not in told:
            told.add(number)
            yield (
                f"{hold.lock}: {hold.client} used it with token {token} at {seconds(at)}, "
                f"after {newest.client} had with token {newest.token} at {seconds(newest_at)}"
            )

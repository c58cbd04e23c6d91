"""Whether a resource that checks nothing was still used in the order of the locks' tokens.

Laws: of two accesses under one lock name, the later one never has the smaller token. At the
very same moment, none is the later. A holder that trusts its lock has its key in the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.checkers.truth import Truth
from quorate.simulation.evidence import Change, HoldLog


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


def check_holders(holds: Sequence[HoldLog], changes: Sequence[Change]) -> list[str]:
    """Check that no holder used the resource after the key that stands for it was gone."""
    truth = Truth(changes)
    return first_few(chain.from_iterable(_check_key(hold, truth) for hold in holds))


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


def _check_key(hold: HoldLog, truth: Truth) -> Iterator[str]:
    """The key goes when its lease ends: by then the holder must have known."""
    placed = truth.written(hold.key, hold.token)
    if placed is None or not placed.kv.version:
        yield f"{hold.lock}: {hold.client} holds it by a key that nobody wrote, {hold.token}"
        return
    gone = next((each for each in truth.of(hold.key) if each.revision > hold.token), None)
    if gone is None:
        return
    late = [at for at in hold.accesses if at > gone.at]
    if late:
        yield (
            f"{hold.lock}: {hold.client} used it with token {hold.token} at {seconds(late[-1])}, "
            f"but its key went at {seconds(gone.at)}"
        )

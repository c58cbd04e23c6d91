"""Whether a rate limiter let through what its bucket had, and nothing more.

Law: the key holds when the bucket is full again. Each taking of n tokens moves that by n
intervals from where it was, or from the taker's clock if that is later, and never further
ahead of that clock than a whole bucket and the taker's patience. So over any time no more is
let through than the bucket, the rate, and what the clocks differ by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.checkers.truth import Truth
from quorate.simulation.evidence import Change, GrantLog, Outcome
from quorate.simulation.scheduler import SECOND

LIMITER: Final = "mail"
RATE: Final = 10.0
BURST: Final = 3
KEY: Final = f"{LIMITER}/rate".encode()
INTERVAL: Final = int(SECOND / RATE)


class _Move:
    """One change of the bucket: when it was full again before and after."""

    def __init__(self, change: Change, before: int) -> None:
        self.at = change.at
        self.before = before
        self.after = int(change.kv.value)


def check_limits(
    grants: Sequence[GrantLog], changes: Sequence[Change], *, drift: float
) -> list[str]:
    """Compare what takers asked for with how the bucket changed.

    `drift` is how much faster than true time a clock may run, as a fraction.
    """
    moves: list[_Move] = []
    for change in Truth(changes).of(KEY):
        moves.append(_Move(change, moves[-1].after if moves else 0))
    told = [grant for grant in grants if grant.outcome is Outcome.OK]
    tried = [grant for grant in grants if grant.outcome is not Outcome.FAILED]
    return first_few(
        chain(
            _amounts(moves, told, tried),
            (
                f"the bucket went from {move.before} to {move.after} at {seconds(move.at)}: "
                "no taking does that"
                for move in moves
                if not any(_explains(grant, move, drift) for grant in tried)
            ),
            chain.from_iterable(_taken(grant, moves, drift) for grant in told),
        )
    )


def _amounts(
    moves: Sequence[_Move], told: Sequence[GrantLog], tried: Sequence[GrantLog]
) -> Iterator[str]:
    if not len(told) <= len(moves) <= len(tried):
        yield (
            f"the bucket changed {len(moves)} times: {len(told)} takings were acknowledged, "
            f"and {len(tried)} may have happened"
        )


def _explains(grant: GrantLog, move: _Move, drift: float) -> bool:
    """Whether a taking may have made this change: its clock was read between call and change."""
    if move.at < grant.called or (grant.outcome is Outcome.OK and move.at > grant.returned):
        return False
    took = grant.tokens * INTERVAL
    latest = grant.wall + int((move.at - grant.called) * (1.0 + drift)) + 1
    if not max(move.before, grant.wall) <= move.after - took <= max(move.before, latest):
        return False
    ahead = move.after - BURST * INTERVAL - latest
    return grant.patience is None or ahead <= grant.patience


def _taken(grant: GrantLog, moves: Sequence[_Move], drift: float) -> Iterator[str]:
    own = [move for move in moves if _explains(grant, move, drift)]
    name = f"{grant.client}'s taking of {grant.tokens} at {seconds(grant.returned)}"
    if not own:
        yield f"{name} left no change in the bucket"
    elif grant.wall_after < min(move.after for move in own) - BURST * INTERVAL:
        yield f"{name} came before the tokens were there"

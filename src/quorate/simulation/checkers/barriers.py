"""Whether barriers held those who came while they were up.

Law: who begins to wait after a raise was acknowledged comes through only by a lift that may
have come after that raise: one that had begun by then, and had not ended before the raise began.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.evidence import CallLog, Outcome

BARRIER: Final = "gate/"
RAISE: Final = "raise"
LIFT: Final = "lift"
WAIT: Final = "wait"


def check_barriers(calls: Sequence[CallLog]) -> list[str]:
    """Check every barrier."""
    barriers: dict[str, list[CallLog]] = {}
    for call in calls:
        if call.recipe.startswith(BARRIER):
            barriers.setdefault(call.recipe, []).append(call)
    return first_few(chain.from_iterable(_check(each) for each in barriers.values()))


def _check(calls: Sequence[CallLog]) -> Iterator[str]:
    raises = [call for call in calls if call.verb == RAISE and call.outcome is Outcome.OK]
    lifts = [call for call in calls if call.verb == LIFT and call.outcome is not Outcome.FAILED]
    for wait in calls:
        if wait.verb != WAIT or wait.outcome is not Outcome.OK:
            continue
        before = [each for each in raises if each.returned < wait.called]
        if not before:
            continue
        raised = max(before, key=attrgetter("called"))
        if not any(_lifted(each, raised, wait) for each in lifts):
            yield (
                f"{wait.recipe}: {wait.client} came through at {seconds(wait.returned)}, and "
                f"nobody lifted what {raised.client} had raised at {seconds(raised.returned)}"
            )


def _lifted(lift: CallLog, raised: CallLog, wait: CallLog) -> bool:
    """Whether a lift may have come after the raise, and before the end of the wait."""
    over = lift.outcome is Outcome.OK and lift.returned < raised.called
    return lift.called <= wait.returned and not over

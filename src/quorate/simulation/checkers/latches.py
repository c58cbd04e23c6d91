"""Whether latches opened when they were counted down, and not before.

Law: what somebody is told of a latch is true of some number of counts between those that were
acknowledged when the call began, and those that had begun when it ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.evidence import CallLog, Outcome

LATCH: Final = "latch/"
COUNT: Final = 3
COUNT_DOWN: Final = "count down"
WAIT: Final = "wait"


def check_latches(calls: Sequence[CallLog], count: int = COUNT) -> list[str]:
    """Check every latch; each begins at `count`."""
    latches: dict[str, list[CallLog]] = {}
    for call in calls:
        if call.recipe.startswith(LATCH):
            latches.setdefault(call.recipe, []).append(call)
    return first_few(chain.from_iterable(_check(each, count) for each in latches.values()))


def _check(calls: Sequence[CallLog], count: int) -> Iterator[str]:
    counts = [
        call for call in calls if call.verb == COUNT_DOWN and call.outcome is not Outcome.FAILED
    ]
    lefts: dict[int, CallLog] = {}
    for call in calls:
        if call.outcome is not Outcome.OK:
            continue
        begun = sum(each.called <= call.returned for each in counts)
        if call.verb == WAIT:
            if begun < count:
                yield (
                    f"{call.recipe}: {call.client} came through at {seconds(call.returned)}, when "
                    f"only {begun} of {count} had begun to count down"
                )
            continue
        least = max(count - begun, 0)
        ended = sum(each.outcome is Outcome.OK and each.returned < call.called for each in counts)
        most = max(count - 1 - ended, 0)
        if not least <= call.number <= most:
            yield (
                f"{call.recipe}: {call.client} was told at {seconds(call.returned)} that "
                f"{call.number} are left, but it was between {least} and {most}"
            )
        if call.number and lefts.setdefault(call.number, call) is not call:
            yield f"{call.recipe}: two counts left {call.number} each: one of them is lost"

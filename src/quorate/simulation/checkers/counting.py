"""Whether every count was counted once, and no id was given twice.

Law: counts and ids are numbers that rise in the order of the calls that gave them: of two
calls of which one had ended when the other began, the later one has the larger number. For
ids that holds within one client only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from operator import attrgetter
from typing import Final

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.checkers.truth import Truth
from quorate.simulation.evidence import CallLog, Change, Outcome

COUNTER: Final = "number"
SEQUENCE: Final = "ids"
KEY: Final = f"{COUNTER}/counter".encode()
ADD: Final = "add"
GET: Final = "get"
NEXT: Final = "next"


def check_counter(calls: Sequence[CallLog], changes: Sequence[Change]) -> list[str]:
    """Compare what those who added 1 were told with the number as it was at each time."""
    adds = [call for call in calls if call.recipe == COUNTER and call.verb == ADD]
    gets = [call for call in calls if call.recipe == COUNTER and call.verb == GET]
    told = [call for call in adds if call.outcome is Outcome.OK]
    tried = [call for call in adds if call.outcome is not Outcome.FAILED]
    numbers = [0, *(int(change.kv.value or 0) for change in Truth(changes).of(KEY))]
    return first_few(
        chain(
            _steps(numbers),
            _final(numbers[-1], told, tried),
            _distinct(told),
            _rising(told),
            chain.from_iterable(_seen(get, told, tried) for get in gets),
        )
    )


def check_sequence(calls: Sequence[CallLog]) -> list[str]:
    """Check that no id was given twice, and that those of each client rise."""
    given = [call for call in calls if call.recipe == SEQUENCE and call.outcome is Outcome.OK]
    clients: dict[str, list[CallLog]] = {}
    for call in given:
        clients.setdefault(call.client, []).append(call)
    return first_few(
        chain(_distinct(given), chain.from_iterable(_rising(each) for each in clients.values()))
    )


def _steps(numbers: Sequence[int]) -> Iterator[str]:
    for before, after in pairwise(numbers):
        if after != before + 1:
            yield f"the counter went from {before} to {after}: a count is 1"


def _final(number: int, told: Sequence[CallLog], tried: Sequence[CallLog]) -> Iterator[str]:
    if not len(told) <= number <= len(tried):
        yield (
            f"the counter ended at {number}: {len(told)} counts were acknowledged, and "
            f"{len(tried)} may have been counted"
        )


def _distinct(calls: Sequence[CallLog]) -> Iterator[str]:
    first: dict[int, CallLog] = {}
    for call in calls:
        other = first.setdefault(call.number, call)
        if other is not call:
            yield f"{_told(call)}, as {_told(other)}"


def _rising(calls: Sequence[CallLog]) -> Iterator[str]:
    ended = sorted(calls, key=attrgetter("returned"))
    most: CallLog | None = None
    place = 0
    for call in sorted(calls, key=attrgetter("called")):
        while ended[place].returned < call.called:
            if most is None or ended[place].number > most.number:
                most = ended[place]
            place += 1
        if most is not None and call.number < most.number:
            yield f"{_told(call)}, after {_told(most)}"


def _seen(get: CallLog, told: Sequence[CallLog], tried: Sequence[CallLog]) -> Iterator[str]:
    if get.outcome is not Outcome.OK:
        return
    least = max((call.number for call in told if call.returned < get.called), default=0)
    most = sum(call.called <= get.returned for call in tried)
    if not least <= get.number <= most:
        yield f"{_told(get)}: it was between {least} and {most} then"


def _told(call: CallLog) -> str:
    return (
        f"{call.client}'s {call.verb} of {call.recipe!r} gave {call.number} "
        f"at {seconds(call.returned)}"
    )

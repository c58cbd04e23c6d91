"""Whether every element of a queue was finished once, or is still there.

Law: an element whose putting was acknowledged is in the truth once. It is gone only by one
finish, which one consumer knows of, or is in doubt about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from quorate.simulation.checkers.sentences import first_few, text
from quorate.simulation.checkers.truth import Truth
from quorate.simulation.evidence import Change, ElementLog, Outcome

ELEMENTS: Final = b"queue/elements/"


def check_queue(elements: Sequence[ElementLog], changes: Sequence[Change]) -> list[str]:
    """Compare what producers and consumers were told with what became of each element."""
    truth = Truth(changes)
    places: dict[bytes, list[bytes]] = {}
    for change in changes:
        if change.kv.key.startswith(ELEMENTS) and change.kv.version:
            places.setdefault(change.kv.value, []).append(change.kv.key)
    return first_few(
        finding
        for element in elements
        for finding in _check(element, places.get(element.value, []), truth)
    )


def _check(element: ElementLog, keys: Sequence[bytes], truth: Truth) -> Iterator[str]:
    name = text(element.value)
    if len(keys) > 1:
        yield f"the element {name} was put {len(keys)} times"
    if element.put is Outcome.OK and not keys:
        yield f"the element {name} was acknowledged, and was never there"
    if element.put is Outcome.FAILED and keys:
        yield f"the element {name} was said to have failed, and is there"
    if len(element.finished) > 1:
        yield f"the element {name} was finished by {' and by '.join(element.finished)}"
    if not keys:
        return
    there = bool(truth.of(keys[0])[-1].kv.version)
    if element.finished and there:
        yield f"the element {name} was finished by {element.finished[0]}, and is still there"
    if not there and not element.finished and not element.doubtful:
        yield f"the element {name} is gone, and nobody finished it"

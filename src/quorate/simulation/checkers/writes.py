"""Whether what the clients were told of the truth is true: writes once and for ever, reads.

Law: the truth is the sequence of changes. An operation's answer is true if there was a moment
for it: not before its call, or what any client had been told of by then, nor after its return.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from quorate.simulation.checkers.sentences import described, first_few, seconds, text
from quorate.simulation.checkers.truth import Truth
from quorate.simulation.evidence import Change, Operation, OperationKind, Outcome

_VALUED = (OperationKind.PUT, OperationKind.SWAP)


def check_writes(operations: Sequence[Operation], changes: Sequence[Change]) -> list[str]:
    """Compare what clients were told with the changes that were made.

    An acknowledged write is there exactly once: key, value, revision, and first applied
    between call and return. One of unknown outcome is there at most once, and not before its
    call; a failed one never. Every change of a key that the operations name is one of theirs,
    unless a lease took the key away. What a read found, or a condition, held at some moment.
    """
    truth = Truth(changes)
    return first_few(
        chain(
            _check_order(changes),
            _check_values(operations, changes, truth),
            _check_deletions(operations, truth),
            _check_answers(operations, truth),
        )
    )


def _check_order(changes: Sequence[Change]) -> Iterator[str]:
    """Revisions and times rise, and no revision is left out."""
    for before, after in pairwise(changes):
        if after.revision not in {before.revision, before.revision + 1}:
            yield (
                f"revision {before.revision} ({seconds(before.at)}) is followed by revision "
                f"{after.revision} ({seconds(after.at)})"
            )
        if after.at < before.at:
            yield (
                f"revision {after.revision} was applied at {seconds(after.at)}, before "
                f"revision {before.revision} at {seconds(before.at)}"
            )


def _check_values(
    operations: Sequence[Operation], changes: Sequence[Change], truth: Truth
) -> Iterator[str]:
    """Each value that was written is where it belongs, and no other is."""
    places: dict[bytes, list[Change]] = {}
    for change in changes:
        if change.kv.version:
            places.setdefault(change.kv.value, []).append(change)
    asked: set[tuple[bytes, bytes]] = set()
    for operation in operations:
        if operation.kind in _VALUED:
            asked.add((operation.key, operation.value))
            yield from _check_value(operation, places.get(operation.value, ()), truth)
    keys = {operation.key for operation in operations}
    for change in changes:
        kv = change.kv
        if kv.version and kv.key in keys and (kv.key, kv.value) not in asked:
            yield (
                f"{text(kv.key)} = {text(kv.value)} at revision {change.revision} "
                f"({seconds(change.at)}) was written by no client"
            )


def _check_value(operation: Operation, places: Sequence[Change], truth: Truth) -> Iterator[str]:
    if len(places) > 1:
        revisions = ", ".join(str(place.revision) for place in places)
        yield f"{described(operation)} took effect more than once: at revisions {revisions}"
        return
    if _is_acknowledged(operation):
        found = truth.written(operation.key, operation.revision)
        if found is None or not found.kv.version or found.kv.value != operation.value:
            there = "nothing has its value"
            if places:
                there = f"its value is {text(places[0].kv.key)} at revision {places[0].revision}"
            yield f"{described(operation)} is not where its client was told: {there}"
            return
    elif places and operation.outcome is not Outcome.UNKNOWN:
        yield (
            f"{described(operation)} did not happen, its client was told, but it is "
            f"revision {places[0].revision} ({seconds(places[0].at)})"
        )
        return
    for place in places:
        if place.kv.key != operation.key:
            yield f"{described(operation)} was written to {text(place.kv.key)}"
        yield from _check_moment(operation, place)


def _check_moment(operation: Operation, change: Change) -> Iterator[str]:
    """A write is applied after its call, and before it is acknowledged."""
    if change.at < operation.called:
        yield f"{described(operation)} was applied at {seconds(change.at)}, before it was called"
    elif _is_acknowledged(operation) and 0 <= operation.returned < change.at:
        yield (
            f"{described(operation)} was acknowledged before it was applied anywhere, "
            f"at {seconds(change.at)}"
        )


def _check_deletions(operations: Sequence[Operation], truth: Truth) -> Iterator[str]:
    """Each acknowledged deletion is there, and each that is there was asked for."""
    told: dict[tuple[bytes, int], Operation] = {}
    untold: dict[bytes, list[Operation]] = {}
    for operation in operations:
        if operation.kind is not OperationKind.DELETE:
            continue
        if operation.outcome is Outcome.UNKNOWN:
            untold.setdefault(operation.key, []).append(operation)
        if not _is_acknowledged(operation):
            continue
        place = operation.key, operation.revision
        change = truth.written(*place)
        if change is None or change.kv.version:
            yield f"{described(operation)} is not where its client was told: no deletion is there"
        elif place in told:
            yield f"{described(operation)} and {described(told[place])} were told of one deletion"
        else:
            told[place] = operation
            yield from _check_moment(operation, change)
    for key in sorted({operation.key for operation in operations}):
        unasked = [each for each in _deletions(truth, key) if (key, each.revision) not in told]
        yield from _check_asked(unasked, untold.get(key, []))


def _deletions(truth: Truth, key: bytes) -> Iterator[Change]:
    """Iterate over the deletions of a key that are not the end of its lease."""
    before: Change | None = None
    for change in truth.of(key):
        if not change.kv.version and (before is None or not before.kv.lease):
            yield change
        before = change


def _check_asked(deletions: Sequence[Change], operations: Sequence[Operation]) -> Iterator[str]:
    """The n-th deletion that nobody was told of needs n of unknown outcome called by then."""
    called = sorted(operation.called for operation in operations)
    used = 0
    for deletion in sorted(deletions, key=lambda each: each.at):
        if used < len(called) and called[used] <= deletion.at:
            used += 1
        else:
            yield (
                f"{text(deletion.kv.key)} was deleted at revision {deletion.revision} "
                f"({seconds(deletion.at)}), which no client asked for or only one that was "
                "told otherwise"
            )


def _check_answers(operations: Sequence[Operation], truth: Truth) -> Iterator[str]:
    """What an operation saw of its key was so at some moment while it was under way."""
    known = _Known(operations)
    for operation in operations:
        if operation.outcome is not Outcome.OK or operation.kind is OperationKind.PUT:
            continue
        if operation.succeeded and operation.kind is OperationKind.SWAP:
            before = truth.before(operation.key, operation.revision)
            if _revision(before) != operation.expected:
                yield (f"{described(operation)} succeeded, but the key was then {_named(before)}")
            continue
        if operation.succeeded and operation.kind is OperationKind.DELETE:
            continue
        least = known.before(operation)
        versions = [
            version
            for version in truth.since(operation.key, least)
            if version is None or operation.returned < 0 or version.at <= operation.returned
        ]
        if not any(_agrees(operation, version) for version in versions):
            possible = ", ".join(_named(version) for version in versions[-3:])
            told = f" (revision {least} was known before its call)" if least else ""
            yield f"{described(operation)} is not what was there: {possible}{told}"


class _Known:
    """Which revision of a key clients had been told of, by time."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        told: dict[bytes, list[tuple[int, int]]] = {}
        self._own: dict[tuple[str, bytes, int], int] = {}
        for operation in operations:
            learnt = operation.kind is OperationKind.GET or _is_acknowledged(operation)
            if learnt and operation.outcome is Outcome.OK and operation.returned >= 0:
                told.setdefault(operation.key, []).append((operation.returned, operation.revision))
                if operation.called < operation.returned:
                    own = operation.client, operation.key, operation.returned
                    self._own[own] = max(operation.revision, self._own.get(own, 0))
        self._told: dict[bytes, tuple[list[int], list[int]]] = {}
        for key, times in told.items():
            greatest = 0
            at: list[int] = []
            revisions: list[int] = []
            for returned, revision in sorted(times):
                greatest = max(greatest, revision)
                at.append(returned)
                revisions.append(greatest)
            self._told[key] = at, revisions

    def before(self, operation: Operation) -> int:
        """Return the greatest revision that any client knew before the operation was called.

        At the very moment of the call, only what this client was told then counts.
        """
        at, revisions = self._told.get(operation.key, ([], []))
        place = bisect_left(at, operation.called)
        own = self._own.get((operation.client, operation.key, operation.called), 0)
        return max(own, revisions[place - 1] if place else 0)


def _is_acknowledged(operation: Operation) -> bool:
    """Whether it is a write that its client was told has happened."""
    if operation.outcome is not Outcome.OK or operation.kind is OperationKind.GET:
        return False
    return operation.kind is OperationKind.PUT or operation.succeeded


def _agrees(operation: Operation, version: Change | None) -> bool:
    """Whether an operation that changed nothing could have met this version."""
    revision = _revision(version)
    if operation.kind is OperationKind.GET:
        value = version.kv.value if version is not None else b""
        return (operation.revision, operation.found) == (revision, value)
    if operation.kind is OperationKind.DELETE:
        return not revision
    return revision != operation.expected


def _revision(version: Change | None) -> int:
    return version.revision if version is not None and version.kv.version else 0


def _named(version: Change | None) -> str:
    if version is None:
        return "absent"
    if not version.kv.version:
        return f"absent since revision {version.revision}"
    return f"{text(version.kv.value)} at revision {version.revision}"

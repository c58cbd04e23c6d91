"""What one key is to its clients: a register whose every write has a greater revision.

Law: a state holds what is known of the key. The revision of a write whose caller never learnt
it is open until a later operation names it, and until then bounded by all that is known.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.simulation.evidence import Operation, OperationKind

OPEN: Final = -1
"""The revision of a write that nobody was told of yet."""


class State(NamedTuple):
    """One key at one moment. Absent, it has an empty value and revision 0."""

    value: bytes
    revision: int
    floor: int
    """The newest change has this revision; at least this, while its revision is open."""
    excluded: frozenset[int] = frozenset()
    """Revisions above the floor that the open one is known not to be."""


ABSENT: Final = State(b"", 0, 0)
"""A key that nobody wrote yet."""


class Step(NamedTuple):
    """What an operation did, if it happened."""

    kind: OperationKind
    value: bytes
    """Of a write: what it wrote. Of a GET: what it found."""
    expected: int
    revision: int
    """What the caller was told, or OPEN."""
    succeeded: bool

    @classmethod
    def told(cls, operation: Operation) -> Step:
        """Return what the caller of a finished operation was told."""
        kind = operation.kind
        value = operation.found if kind is OperationKind.GET else operation.value
        succeeded = operation.succeeded or kind is OperationKind.PUT
        return cls(kind, value, operation.expected, max(operation.revision, 0), succeeded)

    @classmethod
    def supposed(cls, operation: Operation, revision: int = OPEN) -> Step:
        """Return what a write did if it took effect, though its caller was not told so."""
        return cls(operation.kind, operation.value, operation.expected, revision, succeeded=True)


def step(state: State, taken: Step) -> State | None:
    """Return the state after a step, or None where it could not have gone like this."""
    kind = taken.kind
    if kind is OperationKind.GET:
        seen = at_revision(state, taken.revision)
        return seen if seen is not None and seen.value == taken.value else None
    if kind is OperationKind.PUT:
        return _changed(state, taken, taken.value)
    if kind is OperationKind.DELETE:
        if not taken.succeeded:
            return None if state.revision else state
        return _changed(state, taken, None) if state.revision else None
    if not taken.succeeded:
        return not_at_revision(state, taken.expected)
    seen = at_revision(state, taken.expected)
    return _changed(seen, taken, taken.value) if seen is not None else None


def at_revision(state: State, revision: int) -> State | None:
    """Return the state if it has this revision (0: is absent), or may turn out to have it."""
    if state.revision != OPEN:
        return state if state.revision == revision else None
    if revision < state.floor or revision in state.excluded:
        return None
    return State(state.value, revision, revision)


def not_at_revision(state: State, revision: int) -> State | None:
    """Return the state if it has another revision, or may turn out to have another."""
    if state.revision != OPEN:
        return state if state.revision != revision else None
    if revision < state.floor:
        return state
    floor, excluded = state.floor, state.excluded | {revision}
    while floor in excluded:
        excluded -= {floor}
        floor += 1
    return State(state.value, OPEN, floor, excluded)


def _changed(state: State, taken: Step, value: bytes | None) -> State | None:
    """Write a value, or delete (None)."""
    floor = taken.revision
    if floor == OPEN:
        floor = state.floor + 1
    elif floor <= state.floor:
        return None
    if value is None:
        return State(b"", 0, floor)
    return State(value, taken.revision, floor)

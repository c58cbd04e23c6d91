"""Random executions of one register, and the most obvious judge of what clients saw of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st
from tests.simulation.checkers.histories import KEY

from quorate.simulation.evidence import Operation, OperationKind, Outcome

KINDS = tuple(OperationKind)
VALUED = (OperationKind.PUT, OperationKind.SWAP)
TICK = 10
"""Time between two effects."""


class Register(NamedTuple):
    """One key and the last revision that any commit made, in whole numbers that all know."""

    value: bytes = b""
    revision: int = 0
    last: int = 1


def affects(kind: OperationKind, expected: int, register: Register) -> bool:
    if kind is OperationKind.DELETE:
        return bool(register.revision)
    return kind is OperationKind.PUT or (
        kind is OperationKind.SWAP and register.revision == expected
    )


def after(operation: Operation, revision: int) -> Register:
    if operation.kind is OperationKind.DELETE:
        return Register(b"", 0, revision)
    return Register(operation.value, revision, revision)


@st.composite
def executions(draw: st.DrawFn, most: int) -> list[Operation]:
    """What clients saw of operations that took effect one by one, each within its window."""
    register = Register()
    revisions = [0]
    operations: list[Operation] = []
    for number in range(1, draw(st.integers(1, most)) + 1):
        kind = draw(st.sampled_from(KINDS))
        effect = number * TICK
        operation = Operation(
            client=draw(st.sampled_from("abc")),
            kind=kind,
            key=KEY,
            value=b"v%d" % number if kind in VALUED else b"",
            expected=draw(st.sampled_from(revisions)) if kind is OperationKind.SWAP else 0,
            called=effect - draw(st.integers(0, 4 * TICK)),
            returned=effect + draw(st.integers(0, 4 * TICK)),
            outcome=draw(st.sampled_from((Outcome.OK, Outcome.OK, *Outcome))),
        )
        operations.append(operation)
        if operation.outcome is Outcome.FAILED:
            continue
        if operation.outcome is Outcome.UNKNOWN and draw(st.booleans()):
            operation.returned = -1
            continue
        operation.succeeded = kind in (OperationKind.SWAP, OperationKind.DELETE)
        if kind is OperationKind.GET:
            operation.found, operation.revision = register.value, register.revision
        elif affects(kind, operation.expected, register):
            register = after(operation, register.last + draw(st.integers(1, 2)))
            operation.revision = register.last
            revisions.append(register.last)
        else:
            operation.succeeded, operation.revision = False, register.last
    for operation in operations:
        if operation.outcome is Outcome.UNKNOWN:
            operation.revision, operation.succeeded, operation.found = 0, False, b""
    return operations


@st.composite
def damaged(draw: st.DrawFn, most: int) -> list[Operation]:
    """An execution of which up to three facts were changed."""
    operations = draw(executions(most))
    for _ in range(draw(st.integers(0, 3))):
        operation = draw(st.sampled_from(operations))
        change = draw(st.sampled_from(("outcome", "revision", "found", "expected", "when", "did")))
        if change == "outcome":
            operation.outcome = draw(st.sampled_from(Outcome))
        elif change == "revision":
            operation.revision = draw(st.integers(0, most + 3))
        elif change == "found":
            operation.found = draw(st.sampled_from([each.value for each in operations]))
        elif change == "expected":
            operation.expected = draw(st.integers(0, most + 3))
        elif change == "when":
            operation.returned = operation.called + draw(st.integers(0, TICK))
        else:
            operation.succeeded = not operation.succeeded
    return operations


def is_explained(operations: Sequence[Operation]) -> bool:
    """Try every order, every subset of the unknown, and every revision that these may have."""
    happened = [
        each
        for each in operations
        if each.outcome is Outcome.OK
        or (each.outcome is Outcome.UNKNOWN and each.kind is not OperationKind.GET)
    ]
    told = [max(each.revision, each.expected) for each in happened]
    return _try(happened, Register(last=0), max(told, default=0) + len(happened))


def _try(remaining: Sequence[Operation], register: Register, bound: int) -> bool:
    if all(each.outcome is Outcome.UNKNOWN for each in remaining):
        return True
    for chosen in remaining:
        others = [each for each in remaining if each is not chosen]
        if any(_precedes(each, chosen) for each in others):
            continue
        if any(_try(others, next_, bound) for next_ in _outcomes(chosen, register, bound)):
            return True
    return False


def _precedes(first: Operation, second: Operation) -> bool:
    if first.outcome is not Outcome.OK or first.returned < 0:
        return False
    if first.client == second.client and first.called < second.called:
        return first.returned <= second.called
    return first.returned < second.called


def _outcomes(operation: Operation, register: Register, bound: int) -> list[Register]:
    """What the register may be after an operation; nothing if it can't have gone as told."""
    kind, revision = operation.kind, operation.revision
    if kind is OperationKind.GET:
        seen = (operation.found, revision)
        return [register] if seen == (register.value, register.revision) else []
    affected = affects(kind, operation.expected, register)
    if operation.outcome is Outcome.UNKNOWN:
        possible = range(register.last + 1, bound + 1) if affected else ()
        return [after(operation, each) for each in possible]
    succeeded = operation.succeeded or kind is OperationKind.PUT
    if succeeded != affected:
        return []
    if not succeeded:
        return [register]
    return [after(operation, revision)] if revision > register.last else []

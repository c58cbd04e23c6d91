"""How the checkers word what they found."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from quorate.simulation.evidence import Operation, OperationKind, Outcome
from quorate.simulation.scheduler import SECOND

VIOLATIONS_MAX: Final = 8
"""One cause often breaks a promise many times: the first few tell it."""


def first_few(violations: Iterable[str]) -> list[str]:
    """Return the first violations; what would find the others is not even computed."""
    return list(islice(violations, VIOLATIONS_MAX))


def seconds(at: int) -> str:
    """Name a time of the run, or a length of time, that is given in nanoseconds."""
    return f"{at / SECOND:.6f} s"


def text(name: bytes) -> str:
    """Name a key or a value."""
    return repr(name)[1:]


def described(operation: Operation) -> str:
    """Say who asked for what, when, and what the answer was."""
    span = f"{operation.called / SECOND:.6f}..{_end(operation)} s"
    return f"{operation.client}'s {_request(operation)} ({span}: {_answer(operation)})"


def _end(operation: Operation) -> str:
    return "" if operation.returned < 0 else f"{operation.returned / SECOND:.6f}"


def _request(operation: Operation) -> str:
    name = f"{operation.kind.value} {text(operation.key)}"
    if operation.kind is OperationKind.PUT:
        return f"{name} = {text(operation.value)}"
    if operation.kind is OperationKind.SWAP:
        return f"{name} = {text(operation.value)} if at revision {operation.expected}"
    return name


def _answer(operation: Operation) -> str:
    if operation.outcome is not Outcome.OK:
        return str(operation.outcome.value)
    if operation.kind is OperationKind.GET:
        if not operation.revision:
            return "absent"
        return f"{text(operation.found)} at revision {operation.revision}"
    if operation.kind is OperationKind.PUT or operation.succeeded:
        return f"revision {operation.revision}"
    return "no key" if operation.kind is OperationKind.DELETE else "another revision"

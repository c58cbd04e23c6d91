"""Short histories, written by hand. Times are in seconds of the run; -1 never returned."""

from __future__ import annotations

from quorate.simulation.evidence import Change, Operation, OperationKind, Outcome
from quorate.simulation.scheduler import SECOND
from quorate.store.types import KeyValue

KEY = b"k"
OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN


def at(seconds: float) -> int:
    return round(seconds * SECOND)


def operation(
    kind: OperationKind,
    client: str,
    called: float,
    returned: float,
    *,
    outcome: Outcome = OK,
    key: bytes = KEY,
    value: bytes = b"",
    expected: int = 0,
    revision: int = 0,
    found: bytes = b"",
    succeeded: bool = False,
) -> Operation:
    return Operation(
        client,
        kind,
        key,
        value,
        expected,
        at(called),
        at(returned) if returned >= 0 else -1,
        outcome,
        revision,
        found,
        succeeded,
    )


def put(
    client: str,
    called: float,
    returned: float,
    value: bytes,
    revision: int = 0,
    *,
    outcome: Outcome = OK,
    key: bytes = KEY,
) -> Operation:
    """A put that was acknowledged with a revision, unless another outcome is given."""
    kind = OperationKind.PUT
    return operation(
        kind, client, called, returned, outcome=outcome, key=key, value=value, revision=revision
    )


def get(
    client: str,
    called: float,
    returned: float,
    found: bytes = b"",
    revision: int = 0,
    *,
    outcome: Outcome = OK,
    key: bytes = KEY,
) -> Operation:
    """A read that found a value at a revision, or (without them) that the key is absent."""
    kind = OperationKind.GET
    return operation(
        kind, client, called, returned, outcome=outcome, key=key, found=found, revision=revision
    )


def delete(
    client: str,
    called: float,
    returned: float,
    revision: int = 0,
    *,
    outcome: Outcome = OK,
    key: bytes = KEY,
) -> Operation:
    """A deletion that was acknowledged with a revision, or (0) found no key."""
    return operation(
        OperationKind.DELETE,
        client,
        called,
        returned,
        outcome=outcome,
        key=key,
        revision=revision,
        succeeded=bool(revision),
    )


def swap(
    client: str,
    called: float,
    returned: float,
    value: bytes,
    expected: int,
    revision: int = 0,
    *,
    outcome: Outcome = OK,
    key: bytes = KEY,
) -> Operation:
    """A swap that was acknowledged with a revision, or (0) met another than was expected."""
    return operation(
        OperationKind.SWAP,
        client,
        called,
        returned,
        outcome=outcome,
        key=key,
        value=value,
        expected=expected,
        revision=revision,
        succeeded=bool(revision),
    )


def written(
    revision: int,
    seconds: float,
    value: bytes,
    *,
    key: bytes = KEY,
    create: int = 0,
    version: int = 1,
    lease: int = 0,
) -> Change:
    kv = KeyValue(key, value, create or revision, revision, version, lease)
    return Change(revision, at(seconds), kv)


def deleted(revision: int, seconds: float, *, key: bytes = KEY) -> Change:
    return Change(revision, at(seconds), KeyValue(key, b"", 0, revision, 0))

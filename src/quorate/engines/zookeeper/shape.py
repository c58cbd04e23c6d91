"""What ZooKeeper's model can express, and the refusal of what it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeGuard

from quorate.engines.zookeeper.tree import DIRECTORY
from quorate.errors import InvalidRequest, LimitExceeded, UnsupportedByEngine
from quorate.store.port import Capabilities
from quorate.store.types import Compare, Delete, Operation, Put

CAPABILITIES: Final = Capabilities(
    engine="zookeeper",
    past_revisions=False,
    otherwise_branch=False,
    nested_commits=False,
    range_compare=False,
    reads_in_commits=False,
    range_deletes=False,
    every_version=False,
    lease_changes=False,
    keys_under_keys=False,
    foreign_leases=False,
    exactly_once=False,
)
VALUE_BYTES: Final = 1_000_000
"""A request of ZooKeeper's has 1 MiB (`jute.maxbuffer`), its path and rights included."""
KEY_BYTES: Final = 4096


def unsupported(what: str) -> UnsupportedByEngine:
    """Return the refusal of something."""
    return UnsupportedByEngine(f"zookeeper {what}")


def check_key(key: bytes) -> bytes:
    """Return a key; raises InvalidRequest or LimitExceeded when it is none."""
    if not isinstance(key, bytes):
        raise InvalidRequest(f"a key is bytes, not {type(key).__name__}")
    if not key:
        raise InvalidRequest("the key is empty")
    if len(key) > KEY_BYTES:
        raise LimitExceeded(f"the key {key[:80]!r}... has {len(key)} bytes: {KEY_BYTES} at most")
    return key


def check_put(put: Put) -> None:
    """Raise InvalidRequest or LimitExceeded for a put that makes no sense."""
    check_key(put.key)
    if put.value == DIRECTORY:
        raise InvalidRequest("this value marks a directory on zookeeper: put another")
    if len(put.value) > VALUE_BYTES:
        raise LimitExceeded(
            f"the value of {put.key[:80]!r} has {len(put.value)} bytes: at most {VALUE_BYTES} "
            "are taken"
        )


def check_commit(
    when: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation]
) -> list[Put | Delete]:
    """Return the operations of a commit; raises UnsupportedByEngine, InvalidRequest."""
    if otherwise:
        raise unsupported("has no other branch of a commit: look at what is there, and decide")
    if any(condition.end is not None for condition in when):
        raise unsupported("compares single keys only, no ranges")
    if not _only_writes(then):
        raise unsupported(
            "does nothing in a commit but put and delete single keys: read before or after it"
        )
    for condition in when:
        check_key(condition.key)
    for operation in then:
        if isinstance(operation, Put):
            check_put(operation)
        else:
            check_key(operation.key)
    return list(then)


def _only_writes(operations: Sequence[Operation]) -> TypeGuard[Sequence[Put | Delete]]:
    return all(isinstance(operation, Put | Delete) for operation in operations)

"""etcd's messages of keys and values as our types, and back.

Both have one model, so this is a change of words. What differs: an etcd range that filters by
revision still counts all its keys; a condition with an unknown operator always holds.
"""

from __future__ import annotations

from typing import Any, Final

from quorate.codecs.etcd.messages import MESSAGES
from quorate.gateways.etcd.checks import bounds
from quorate.store.types import (
    Compare,
    CompareOperator,
    CompareTarget,
    Content,
    Delete,
    DeleteRange,
    Direction,
    Event,
    EventKind,
    KeyValue,
    Range,
    RangeOrder,
    RangeResult,
    ReadConsistency,
)

_KeyValue: Final = MESSAGES["KeyValue"]
_Event: Final = MESSAGES["Event"]
_RangeResponse: Final = MESSAGES["RangeResponse"]
_DESCEND: Final = 2
_ORDERS: Final = (
    RangeOrder.KEY,
    RangeOrder.VERSION,
    RangeOrder.CREATE_REVISION,
    RangeOrder.MOD_REVISION,
    RangeOrder.VALUE,
)
_OPERATORS: Final = (
    CompareOperator.EQUAL,
    CompareOperator.GREATER,
    CompareOperator.LESS,
    CompareOperator.NOT_EQUAL,
)
_TARGETS: Final = (
    (CompareTarget.VERSION, "version"),
    (CompareTarget.CREATE_REVISION, "create_revision"),
    (CompareTarget.MOD_REVISION, "mod_revision"),
    (CompareTarget.VALUE, "value"),
    (CompareTarget.LEASE, "lease"),
)
NEVER: Final = Compare(b"\0", CompareTarget.VERSION, CompareOperator.LESS, 0)
"""A condition that no state fulfils: no version is below 0."""


def consistency_of(request: Any) -> ReadConsistency:
    """Return how fresh a range must be."""
    return ReadConsistency.STALE if request.serializable else ReadConsistency.LINEARIZABLE


def is_filtered(request: Any) -> bool:
    """Whether a range leaves keys out by their revisions."""
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def range_of(request: Any) -> Range:
    """Return our range of a checked request."""
    start, end = bounds(request.key, request.range_end)
    if request.count_only:
        return Range(start, end, revision=request.revision, content=Content.COUNT)
    return Range(
        start,
        end,
        max(0, request.limit),
        request.revision,
        _ORDERS[request.sort_target],
        Direction.DESCENDING if request.sort_order == _DESCEND else Direction.ASCENDING,
        Content.KEYS if request.keys_only else Content.FULL,
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )


def count_of(query: Range, revision: int) -> Range:
    """Return the range that counts all keys of a filtered one."""
    return Range(query.start, query.end, revision=revision, content=Content.COUNT)


def delete_of(request: Any) -> Delete | DeleteRange:
    """Return our deletion of a checked request."""
    if not request.range_end:
        return Delete(request.key)
    return DeleteRange(*bounds(request.key, request.range_end))


def compares_of(request: Any) -> tuple[Compare, ...]:
    """Return the conditions of a transaction; those that always hold are left out."""
    compares: list[Compare] = []
    for message in request.compare:
        if message.result not in range(len(_OPERATORS)):
            continue
        operator = _OPERATORS[message.result]
        if message.target not in range(len(_TARGETS)):
            if operator is not CompareOperator.EQUAL:
                compares.append(NEVER)
            continue
        target, field = _TARGETS[message.target]
        # An operand of another kind than the target's counts as none at all.
        operand = getattr(message, field)
        if not message.range_end:
            compares.append(Compare(message.key, target, operator, operand))
            continue
        start, end = bounds(message.key, message.range_end)
        compares.append(Compare(start, target, operator, operand, end))
    return tuple(compares)


def key_value(found: KeyValue) -> Any:
    """Return etcd's message of one version."""
    return _KeyValue(
        key=found.key,
        value=found.value,
        create_revision=found.create_revision,
        mod_revision=found.mod_revision,
        version=found.version,
        lease=found.lease,
    )


def range_response(result: RangeResult, count: int, header: Any) -> Any:
    """Return etcd's answer of a page; `count` is that of the keys before the filters."""
    return _RangeResponse(
        header=header,
        kvs=[key_value(item) for item in result.items],
        more=result.more,
        count=count,
    )


def event(found: Event) -> Any:
    """Return etcd's message of one change."""
    previous = key_value(found.previous) if found.previous is not None else None
    if found.kind is EventKind.PUT:
        return _Event(kv=key_value(found.kv), prev_kv=previous)
    gone = _KeyValue(key=found.kv.key, mod_revision=found.kv.mod_revision)
    return _Event(type=1, kv=gone, prev_kv=previous)

"""etcd's messages of keys and values as our types, and back.

Both have one model, so this is a change of words. What differs: an etcd range that filters by
revision still counts all its keys; a condition with an unknown operator always holds.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

import msgspec

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
_SORTED: Final = (Direction.ASCENDING, Direction.ASCENDING, Direction.DESCENDING)
"""What `sort_order` 0 (none), 1 and 2 mean; what is not sorted comes in the order of keys."""
SORT_KEYS: Final[dict[RangeOrder, Callable[[KeyValue], Any]]] = {
    RangeOrder.KEY: attrgetter("key"),
    RangeOrder.VERSION: attrgetter("version"),
    RangeOrder.CREATE_REVISION: attrgetter("create_revision"),
    RangeOrder.MOD_REVISION: attrgetter("mod_revision"),
    RangeOrder.VALUE: attrgetter("value"),
}
NO_REVISION: Final = 1 << 62
"""Above every revision that a store gets to."""
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


def cut_first(request: Any) -> bool:
    """Whether a range is cut by its keys' order and only then sorted: as etcd does if not told how.

    It takes one key more than the limit, sorts, and leaves the last one out.
    """
    return bool(
        request.limit > 0
        and not request.sort_order
        and request.sort_target
        and not is_filtered(request)
        and not request.count_only
    )


def sorted_after_cut(request: Any, result: RangeResult) -> RangeResult:
    """Return what is left of a range that was cut first."""
    items = sorted(result.items, key=SORT_KEYS[_ORDERS[request.sort_target]])
    more = len(items) > request.limit
    del items[request.limit :]
    if request.keys_only:
        items = [without_value(item) for item in items]
    return RangeResult(tuple(items), result.count, result.revision, more)


def without_value(item: KeyValue) -> KeyValue:
    """Return a version without its value."""
    return msgspec.structs.replace(item, value=b"")


def range_of(request: Any) -> Range:
    """Return our range of a checked request."""
    start, end = bounds(request.key, request.range_end)
    if cut_first(request):
        # Values are sorted by before they are left out.
        return Range(start, end, request.limit + 1, request.revision)
    if request.count_only:
        return Range(start, end, revision=request.revision, content=Content.COUNT)
    return Range(
        start,
        end,
        max(0, request.limit),
        request.revision,
        _ORDERS[request.sort_target],
        _SORTED[request.sort_order],
        Content.KEYS if request.keys_only else Content.FULL,
        NO_REVISION if _excludes_all(request) else request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )


def _excludes_all(request: Any) -> bool:
    """Whether no key can pass a range's filters: none has a revision below 0."""
    return bool(request.max_mod_revision < 0 or request.max_create_revision < 0)


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

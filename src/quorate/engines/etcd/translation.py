"""Our operations as etcd's, and its answers as ours.

Both have the same model, so this is a change of words: an empty end is a zero byte there, and
a whole store begins with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from quorate.codecs.etcd.messages import MESSAGES
from quorate.errors import InvalidRequest
from quorate.store.types import (
    Commit,
    CommitResult,
    Compare,
    CompareOperator,
    CompareTarget,
    Content,
    Delete,
    DeleteRange,
    DeleteResult,
    Event,
    EventKind,
    Get,
    KeyValue,
    Operation,
    Put,
    Range,
    RangeOrder,
    RangeResult,
    ReadConsistency,
)

FROM_KEY: Final = b"\x00"
"""As an end: everything from the key on. As a key: the first there can be."""
_RESULTS: Final = {
    CompareOperator.EQUAL: 0,
    CompareOperator.GREATER: 1,
    CompareOperator.LESS: 2,
    CompareOperator.NOT_EQUAL: 3,
}
_TARGETS: Final = {
    CompareTarget.VERSION: (0, "version"),
    CompareTarget.CREATE_REVISION: (1, "create_revision"),
    CompareTarget.MOD_REVISION: (2, "mod_revision"),
    CompareTarget.VALUE: (3, "value"),
    CompareTarget.LEASE: (4, "lease"),
}
_ORDERS: Final = {
    RangeOrder.KEY: 0,
    RangeOrder.VERSION: 1,
    RangeOrder.CREATE_REVISION: 2,
    RangeOrder.MOD_REVISION: 3,
    RangeOrder.VALUE: 4,
}


def range_request(query: Range, consistency: ReadConsistency, page_items: int) -> Any:
    """Return the request of a range."""
    sorted_ = query.order is not RangeOrder.KEY or query.direction
    return MESSAGES["RangeRequest"](
        key=query.start or FROM_KEY,
        range_end=query.end or FROM_KEY,
        limit=min(query.limit or page_items, page_items),
        revision=query.revision,
        sort_order=(2 if query.direction else 1) if sorted_ else 0,
        sort_target=_ORDERS[query.order],
        serializable=consistency is ReadConsistency.STALE,
        keys_only=query.content is Content.KEYS,
        count_only=query.content is Content.COUNT,
        min_mod_revision=query.min_mod_revision,
        max_mod_revision=query.max_mod_revision,
        min_create_revision=query.min_create_revision,
        max_create_revision=query.max_create_revision,
    )


def get_request(key: bytes, revision: int, consistency: ReadConsistency) -> Any:
    """Return the request of one key."""
    return MESSAGES["RangeRequest"](
        key=checked(key),
        revision=revision,
        serializable=consistency is ReadConsistency.STALE,
    )


def commit_request(
    when: Sequence[Compare],
    then: Sequence[Operation],
    otherwise: Sequence[Operation],
    page_items: int,
) -> Any:
    """Return the request of a commit."""
    return MESSAGES["TxnRequest"](
        compare=[_compare(each) for each in when],
        success=[_operation(each, page_items) for each in then],
        failure=[_operation(each, page_items) for each in otherwise],
    )


def commit_result(
    answer: Any, then: Sequence[Operation], otherwise: Sequence[Operation]
) -> CommitResult:
    """Return the result of a commit; a nested one has the revision of the outer."""
    done = then if answer.succeeded else otherwise
    return _commit_result(answer, done, answer.header.revision)


def key_value(message: Any) -> KeyValue:
    """Return one version of one key."""
    return KeyValue(
        message.key,
        message.value,
        message.create_revision,
        message.mod_revision,
        message.version,
        message.lease,
    )


def range_result(answer: Any) -> RangeResult:
    """Return a page."""
    return RangeResult(
        items=tuple(key_value(each) for each in answer.kvs),
        count=answer.count,
        revision=answer.header.revision,
        more=answer.more,
    )


def event(message: Any) -> Event:
    """Return one event of a watch."""
    previous = key_value(message.prev_kv) if message.HasField("prev_kv") else None
    if not message.type:
        return Event(EventKind.PUT, key_value(message.kv), previous)
    gone = KeyValue(message.kv.key, b"", 0, message.kv.mod_revision, 0)
    return Event(EventKind.DELETE, gone, previous)


def checked(key: bytes) -> bytes:
    """Return a key; raises InvalidRequest when it is none."""
    if not isinstance(key, bytes):
        raise InvalidRequest(f"a key is bytes, not {type(key).__name__}")
    if not key:
        raise InvalidRequest("the key is empty")
    return key


def _compare(condition: Compare) -> Any:
    target, field = _TARGETS[condition.target]
    message = MESSAGES["Compare"](
        result=_RESULTS[condition.operator], target=target, key=condition.key
    )
    setattr(message, field, condition.operand)
    if condition.end is not None:
        message.key = condition.key or FROM_KEY
        message.range_end = condition.end or FROM_KEY
    return message


def _operation(operation: Operation, page_items: int) -> Any:
    wrap = MESSAGES["RequestOp"]
    if isinstance(operation, Put):
        return wrap(request_put=put_request(operation))
    if isinstance(operation, Get):
        request = get_request(operation.key, operation.revision, ReadConsistency.LINEARIZABLE)
        return wrap(request_range=request)
    if isinstance(operation, Range):
        return wrap(
            request_range=range_request(operation, ReadConsistency.LINEARIZABLE, page_items)
        )
    if isinstance(operation, Delete | DeleteRange):
        return wrap(request_delete_range=delete_request(operation))
    return wrap(
        request_txn=commit_request(operation.when, operation.then, operation.otherwise, page_items)
    )


def put_request(put: Put) -> Any:
    """Return the request of a put."""
    return MESSAGES["PutRequest"](key=checked(put.key), value=put.value, lease=put.lease)


def delete_request(delete: Delete | DeleteRange) -> Any:
    """Return the request of a deletion."""
    if isinstance(delete, Delete):
        return MESSAGES["DeleteRangeRequest"](key=checked(delete.key))
    return MESSAGES["DeleteRangeRequest"](
        key=delete.start or FROM_KEY, range_end=delete.end or FROM_KEY
    )


def _commit_result(answer: Any, done: Sequence[Operation], revision: int) -> CommitResult:
    results = tuple(
        _result(operation, response, revision)
        for operation, response in zip(done, answer.responses, strict=True)
    )
    return CommitResult(answer.succeeded, revision, results)


def _result(
    operation: Operation, response: Any, revision: int
) -> int | KeyValue | RangeResult | DeleteResult | CommitResult | None:
    if isinstance(operation, Put):
        return revision
    if isinstance(operation, Get):
        found = response.response_range.kvs
        return key_value(found[0]) if found else None
    if isinstance(operation, Range):
        page = range_result(response.response_range)
        return RangeResult(page.items, page.count, revision, page.more)
    if isinstance(operation, Commit):
        nested = response.response_txn
        done = operation.then if nested.succeeded else operation.otherwise
        return _commit_result(nested, done, revision)
    return DeleteResult(response.response_delete_range.deleted, revision)

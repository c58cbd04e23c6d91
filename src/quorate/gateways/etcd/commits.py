"""etcd's transactions as commits of ours, and their results as etcd's answers.

An operation of etcd's becomes one or two of ours: what a put or a deletion replaced is read
just before it, in the same commit, and so is the number of all keys of a filtered range.
What a put keeps (`ignore_value`, `ignore_lease`) depends on the state: the caller reads the
keys first (`kept_keys`), and the whole commit stands under the condition that they are still
what was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from quorate.codecs.etcd.messages import MESSAGES
from quorate.gateways.etcd.checks import bounds
from quorate.gateways.etcd.translation import (
    compares_of,
    count_of,
    cut_first,
    delete_of,
    is_filtered,
    key_value,
    range_of,
    range_response,
    sorted_after_cut,
)
from quorate.gateways.grpc.codes import Code, RpcError
from quorate.store.compare import mod_revision
from quorate.store.types import (
    Commit,
    CommitResult,
    Content,
    Get,
    KeyValue,
    Operation,
    Put,
    Range,
    RangeResult,
)

_ResponseHeader: Final = MESSAGES["ResponseHeader"]
_ResponseOp: Final = MESSAGES["ResponseOp"]
_PutResponse: Final = MESSAGES["PutResponse"]
_DeleteRangeResponse: Final = MESSAGES["DeleteRangeResponse"]
_TxnResponse: Final = MESSAGES["TxnResponse"]
NO_LEASE: Final = (1 << 63) - 1
"""No store grants it: a put with it is refused, and the whole commit with it."""

PRESENT: Final = Range(b"\0", b"\0", content=Content.COUNT)
"""Reads nothing but the revision of the present."""

Held: TypeAlias = Mapping[bytes, KeyValue | None]
"""What keys had that a put keeps a part of."""
Results: TypeAlias = Iterator[Any]
Answer: TypeAlias = Callable[[Results], Any]
"""Makes an answer of the results of its operations."""


class Step(NamedTuple):
    """One operation of etcd's: ours, and how their results become its answer."""

    operations: tuple[Operation, ...]
    answer: Answer


class Planned(NamedTuple):
    """A transaction as a commit, and how its result becomes the answer, without header."""

    commit: Commit
    answer: Callable[[CommitResult], Any]


def kept_keys(operations: Iterable[Any]) -> list[bytes]:
    """Return the keys of which puts in these operations keep a part, nested ones too."""
    keys: dict[bytes, None] = {}
    for operation in operations:
        if operation.HasField("request_put"):
            put = operation.request_put
            if put.ignore_value or put.ignore_lease:
                keys[put.key] = None
        elif operation.HasField("request_txn"):
            nested = operation.request_txn
            keys.update(dict.fromkeys(kept_keys((*nested.success, *nested.failure))))
    return list(keys)


def guarded(commit: Commit, held: Held) -> Commit:
    """Return the commit under the condition that what its puts keep is still what was read."""
    when = tuple(
        mod_revision(key) == (found.mod_revision if found is not None else 0)
        for key, found in held.items()
    )
    return Commit(when, (commit,))


def plan_put(request: Any, held: Held) -> Step:
    """Return the step of a checked put."""
    found = held.get(request.key)
    keeps = request.ignore_value or request.ignore_lease
    value, lease = request.value, request.lease
    if keeps and found is None:
        lease = NO_LEASE
    elif found is not None:
        value = found.value if request.ignore_value else value
        lease = found.lease if request.ignore_lease else lease
    put = Put(request.key, value, lease)
    if not request.prev_kv:
        return Step((put,), _put_answer)
    return Step((Get(request.key), put), _put_answer_with_previous)


def plan_delete(request: Any) -> Step:
    """Return the step of a checked deletion."""
    if not request.prev_kv:
        return Step((delete_of(request),), _delete_answer)
    replaced = Range(*bounds(request.key, request.range_end))
    return Step((replaced, delete_of(request)), _delete_answer_with_previous)


def plan_range(request: Any) -> Step:
    """Return the step of a checked range inside a transaction."""
    query = range_of(request)
    counts = is_filtered(request) and not request.count_only
    past = query.revision > 0
    operations: list[Operation] = [query]
    if counts:
        operations.append(count_of(query, query.revision))
    if past:
        operations.append(PRESENT)

    def answer(results: Results) -> Any:
        result = _complete(next(results), query.limit)
        count = next(results).count if counts else result.count
        revision = next(results).revision if past else result.revision
        if cut_first(request):
            result = sorted_after_cut(request, result)
        return range_response(result, count, _at(revision))

    return Step(tuple(operations), answer)


def plan_transaction(request: Any, held: Held) -> Planned:
    """Return the commit of a checked transaction."""
    then = [_plan(operation, held) for operation in request.success]
    otherwise = [_plan(operation, held) for operation in request.failure]
    commit = Commit(compares_of(request), _operations(then), _operations(otherwise))

    def answer(result: CommitResult) -> Any:
        steps = then if result.succeeded else otherwise
        results = iter(result.results)
        return _TxnResponse(
            succeeded=result.succeeded,
            responses=[step.answer(results) for step in steps],
        )

    return Planned(commit, answer)


def _operations(steps: Sequence[Step]) -> tuple[Operation, ...]:
    return tuple(operation for step in steps for operation in step.operations)


def _plan(operation: Any, held: Held) -> Step:
    kind = operation.WhichOneof("request")
    if kind == "request_txn":
        planned = plan_transaction(operation.request_txn, held)

        def answer(results: Results) -> Any:
            nested = planned.answer(next(results))
            # etcd sends it empty.
            nested.header.SetInParent()
            return _ResponseOp(response_txn=nested)

        return Step((planned.commit,), answer)
    if kind == "request_put":
        return _wrapped("response_put", plan_put(operation.request_put, held))
    if kind == "request_delete_range":
        return _wrapped("response_delete_range", plan_delete(operation.request_delete_range))
    return _wrapped("response_range", plan_range(operation.request_range))


def _wrapped(field: str, step: Step) -> Step:
    return Step(
        step.operations,
        lambda results: _ResponseOp(**{field: step.answer(results)}),
    )


def _at(revision: int) -> Any:
    return _ResponseHeader(revision=revision)


def _put_answer(results: Results) -> Any:
    return _PutResponse(header=_at(next(results)))


def _put_answer_with_previous(results: Results) -> Any:
    previous = next(results)
    answer = _put_answer(results)
    if previous is not None:
        answer.prev_kv.CopyFrom(key_value(previous))
    return answer


def _delete_answer(results: Results) -> Any:
    result = next(results)
    return _DeleteRangeResponse(header=_at(result.revision), deleted=result.deleted)


def _delete_answer_with_previous(results: Results) -> Any:
    replaced = _complete(next(results), 0)
    answer = _delete_answer(results)
    answer.prev_kvs.extend(key_value(item) for item in replaced.items)
    return answer


def _complete(result: RangeResult, limit: int) -> RangeResult:
    """Return a result that only its own limit cut; the outcome of a commit is one page."""
    if result.more and (not limit or len(result.items) < limit):
        raise RpcError(
            Code.RESOURCE_EXHAUSTED,
            f"etcdserver: the transaction was applied, but one of its ranges has {result.count} "
            "keys, more than an answer holds: read them with ranges of their own",
        )
    return result

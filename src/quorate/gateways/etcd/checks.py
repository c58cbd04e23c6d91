"""What etcd refuses by looking at a request alone, in its order and with its words.

Source: etcd 3.5, `server/etcdserver/api/v3rpc/key.go`. Raises `RpcError`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final

from quorate.codecs.etcd import failures
from quorate.gateways.etcd.refusals import refuse

OPERATIONS_MAX: Final = 128
"""Operations, or conditions, of one transaction with what is nested in it (`--max-txn-ops`)."""
ORDERS: Final = range(3)
"""How a range may be sorted: not, ascending, descending."""
TARGETS: Final = range(5)
"""What by: key, version, revision of creation, of the last change, value."""


def check_range(request: Any) -> None:
    """Refuse a range without a key, or sorted by what is no order: etcd 3.5.9 ends by it."""
    if not request.key:
        raise refuse(failures.EMPTY_KEY)
    if request.sort_order not in ORDERS or request.sort_target not in TARGETS:
        raise refuse(failures.INVALID_SORT_OPTION)


def check_put(request: Any) -> None:
    """Refuse a put without a key, or that both gives and keeps something."""
    if not request.key:
        raise refuse(failures.EMPTY_KEY)
    if request.ignore_value and request.value:
        raise refuse(failures.VALUE_PROVIDED)
    if request.ignore_lease and request.lease:
        raise refuse(failures.LEASE_PROVIDED)


def check_delete(request: Any) -> None:
    """Refuse a deletion without a key."""
    if not request.key:
        raise refuse(failures.EMPTY_KEY)


def check_transaction(request: Any) -> None:
    """Refuse a transaction that is too long, or in which a branch writes a key twice."""
    _check_level(request, OPERATIONS_MAX)
    _writes_of(request.success)
    _writes_of(request.failure)


def _check_level(request: Any, room: int) -> None:
    longest = max(len(request.compare), len(request.success), len(request.failure))
    if longest > room:
        raise refuse(failures.TOO_MANY_OPS)
    if any(not compare.key for compare in request.compare):
        raise refuse(failures.EMPTY_KEY)
    for operation in (*request.success, *request.failure):
        _check_operation(operation, room - longest)


def _check_operation(operation: Any, room: int) -> None:
    kind = operation.WhichOneof("request")
    if kind == "request_range":
        check_range(operation.request_range)
    elif kind == "request_put":
        check_put(operation.request_put)
    elif kind == "request_delete_range":
        check_delete(operation.request_delete_range)
    elif kind == "request_txn":
        _check_level(operation.request_txn, room)
    else:
        raise refuse(failures.KEY_NOT_FOUND)


class _Writes:
    """The keys that operations put, and the ranges that they delete (`end` empty: no bound)."""

    __slots__ = ("deletes", "puts")

    def __init__(self) -> None:
        self.puts: set[bytes] = set()
        self.deletes: list[tuple[bytes, bytes]] = []

    def delete(self, request: Any) -> None:
        """Add what a deletion takes."""
        self.deletes.append(bounds(request.key, request.range_end))

    def deletes_any(self, keys: Iterable[bytes]) -> bool:
        """Whether a deletion takes one of these keys."""
        ordered = sorted(keys) if self.deletes else []
        for start, end in self.deletes:
            place = bisect_left(ordered, start)
            if place < len(ordered) and (not end or ordered[place] < end):
                return True
        return False


def _writes_of(operations: Iterable[Any]) -> _Writes:
    """Return what a branch writes; raises when it would write a key twice."""
    writes = _Writes()
    for operation in operations:
        if operation.HasField("request_delete_range"):
            writes.delete(operation.request_delete_range)
    for operation in operations:
        if operation.HasField("request_txn"):
            _add_nested(writes, operation.request_txn)
    for operation in operations:
        if operation.HasField("request_put"):
            key = operation.request_put.key
            if key in writes.puts or writes.deletes_any((key,)):
                raise refuse(failures.DUPLICATE_KEY)
            writes.puts.add(key)
    return writes


def _add_nested(writes: _Writes, request: Any) -> None:
    """Add what a nested transaction may write; its branches exclude each other."""
    success, failure = _writes_of(request.success), _writes_of(request.failure)
    puts = success.puts | failure.puts
    if writes.puts & puts or writes.deletes_any(puts):
        raise refuse(failures.DUPLICATE_KEY)
    writes.puts |= puts
    writes.deletes += success.deletes + failure.deletes


def bounds(key: bytes, range_end: bytes) -> tuple[bytes, bytes]:
    """Return the keys of a request as [start, end); an empty end has no upper bound."""
    if not range_end:
        return key, key + b"\0"
    start = b"" if key == b"\0" else key
    return start, b"" if range_end == b"\0" else range_end

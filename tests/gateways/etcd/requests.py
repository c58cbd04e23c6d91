"""Requests of etcd's API as Hypothesis draws them.

Revisions in them are relative to one that is known for each server, so that two servers can be
asked the same whatever happened to them before. What is left out is named in `LEFT_OUT`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from google.protobuf.message import Message
from hypothesis import strategies as st

from quorate.codecs.etcd.messages import MESSAGES
from quorate.codecs.etcd.services import RPCS, Rpc

LEFT_OUT: Final = {
    "a sort order or target that is none": "etcd 3.5.1 ends by it; here it is refused",
    "a deletion up to the end beside a put, in one transaction": "etcd 3.5 takes the end b'\\0' "
    "for a key there and lets a branch write a key twice; here it is refused",
    "a nested transaction that deletes what another of its branch puts": "etcd lets a key have two "
    "versions at one revision; here that is refused",
    "a negative revision inside a transaction": "etcd takes it for compacted there, and for the "
    "present everywhere else; here it is the present everywhere",
    "compacting revision 0": "etcd allows it once",
}
"""What is known to differ, and how."""

KEYS: Final = (b"a", b"ab", b"b", b"c", b"d", b"e", b"\xff")
ENDS: Final = (b"", b"", b"", b"", b"\0", b"b", b"c", b"e", b"zz")
NESTED_ENDS: Final = tuple(end for end in ENDS if end != b"\0")
LEASES: Final = (7, 8)
_RELATIVE: Final = (
    *("revision", "create_revision", "mod_revision"),
    *("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"),
)


class Asked(NamedTuple):
    """One request; its revisions above 0 are relative."""

    rpc: Rpc
    message: Any


def shifted(message: Any, by: int) -> Any:
    """Return a copy of a message with its relative revisions moved."""
    copy = type(message)()
    copy.CopyFrom(message)
    _shift(copy, by)
    return copy


def _shift(message: Message, by: int) -> None:
    for field, value in message.ListFields():
        if field.name in _RELATIVE:
            if value > 0:
                setattr(message, field.name, value + by)
        elif isinstance(value, Message):
            _shift(value, by)
        elif not isinstance(value, bytes | str | int | float):
            for each in value:
                if isinstance(each, Message):
                    _shift(each, by)


keys = st.sampled_from((*KEYS, *KEYS, b"", b"\0"))
ends = st.sampled_from(ENDS)
values = st.sampled_from((b"", b"x", b"y", b"longer"))
bounds = st.sampled_from((0, 0, 0, 0, -1, 1, 2, 5, 9, 20))
leases = st.sampled_from((0, 0, 0, 0, *LEASES, 9))
rarely = st.sampled_from((False,) * 6 + (True,))


@st.composite
def ranges(draw: st.DrawFn, revisions: st.SearchStrategy[int]) -> Any:
    """A range with any of its options."""
    return MESSAGES["RangeRequest"](
        key=draw(keys),
        range_end=draw(ends),
        limit=draw(st.sampled_from((0, 0, 0, 1, 2, 3, -1))),
        revision=draw(revisions),
        sort_order=draw(st.sampled_from((0, 0, 1, 2))),
        sort_target=draw(st.sampled_from((0, 0, 1, 2, 3, 4))),
        serializable=draw(rarely),
        keys_only=draw(rarely),
        count_only=draw(rarely),
        min_mod_revision=draw(bounds),
        max_mod_revision=draw(bounds),
        min_create_revision=draw(bounds),
        max_create_revision=draw(bounds),
    )


any_range = ranges(st.sampled_from((0, 0, 0, 0, -1, 1, 3, 8, 20, 60)))
nested_range = ranges(st.sampled_from((0, 0, 0, 1, 3, 8, 20, 60)))


@st.composite
def puts(draw: st.DrawFn) -> Any:
    """A put, often of a lease that is not there, sometimes keeping what it should not."""
    ignore_value, ignore_lease = draw(rarely), draw(rarely)
    return MESSAGES["PutRequest"](
        key=draw(keys),
        value=draw(values) if not ignore_value or draw(rarely) else b"",
        lease=draw(leases) if not ignore_lease or draw(rarely) else 0,
        prev_kv=draw(st.booleans()),
        ignore_value=ignore_value,
        ignore_lease=ignore_lease,
    )


@st.composite
def deletions(draw: st.DrawFn, until: tuple[bytes, ...] = ENDS) -> Any:
    """A deletion."""
    return MESSAGES["DeleteRangeRequest"](
        key=draw(keys), range_end=draw(st.sampled_from(until)), prev_kv=draw(st.booleans())
    )


@st.composite
def compares(draw: st.DrawFn) -> Any:
    """A condition; seldom with an operand of another kind than its target."""
    fields = ("version", "create_revision", "mod_revision", "value", "lease")
    target = draw(st.integers(0, 4))
    field = draw(st.sampled_from(fields)) if draw(rarely) else fields[target]
    message = MESSAGES["Compare"](
        result=draw(st.integers(0, 3)),
        target=target,
        key=draw(keys),
        range_end=draw(ends) if draw(rarely) else b"",
    )
    setattr(message, field, draw(values) if field == "value" else draw(bounds))
    return message


def operations(transactions: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An operation of a transaction."""
    operation = MESSAGES["RequestOp"]
    return st.one_of(
        nested_range.map(lambda each: operation(request_range=each)),
        puts().map(lambda each: operation(request_put=each)),
        puts().map(lambda each: operation(request_put=each)),
        deletions(NESTED_ENDS).map(lambda each: operation(request_delete_range=each)),
        transactions.map(lambda each: operation(request_txn=each)),
        st.just(operation()),
    )


@st.composite
def branches(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Any:
    """A transaction of operations."""
    return MESSAGES["TxnRequest"](
        compare=draw(st.lists(compares(), max_size=2)),
        success=draw(st.lists(operations(inner), max_size=3)),
        failure=draw(st.lists(operations(inner), max_size=2)),
    )


transactions = st.recursive(branches(st.builds(MESSAGES["TxnRequest"])), branches, max_leaves=3)


def _asked(path: str, messages: st.SearchStrategy[Any]) -> st.SearchStrategy[Asked]:
    return messages.map(lambda message: Asked(RPCS[path], message))


@st.composite
def grants(draw: st.DrawFn) -> Any:
    """A lease, of an id that may be taken, or for too long."""
    return MESSAGES["LeaseGrantRequest"](
        ID=draw(st.sampled_from(LEASES)), TTL=draw(st.sampled_from((1000, 5000, 9_000_000_001)))
    )


def requests() -> st.SearchStrategy[Asked]:
    """Any request."""
    range_ = _asked("/etcdserverpb.KV/Range", any_range)
    put = _asked("/etcdserverpb.KV/Put", puts())
    transaction = _asked("/etcdserverpb.KV/Txn", transactions)
    named = st.sampled_from((*LEASES, 9))
    return st.one_of(
        *(range_, range_, put, put, put, transaction, transaction),
        _asked("/etcdserverpb.KV/DeleteRange", deletions()),
        _asked(
            "/etcdserverpb.KV/Compact",
            st.builds(MESSAGES["CompactionRequest"], revision=st.integers(1, 60)),
        ),
        _asked("/etcdserverpb.Lease/LeaseGrant", grants()),
        _asked(
            "/etcdserverpb.Lease/LeaseRevoke", st.builds(MESSAGES["LeaseRevokeRequest"], ID=named)
        ),
        _asked(
            "/etcdserverpb.Lease/LeaseTimeToLive",
            st.builds(MESSAGES["LeaseTimeToLiveRequest"], ID=named, keys=st.booleans()),
        ),
        _asked("/etcdserverpb.Lease/LeaseLeases", st.builds(MESSAGES["LeaseLeasesRequest"])),
    )

"""Random commands over few keys and leases, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st

from quorate.kv.commands import (
    CheckpointLeases,
    Command,
    Compact,
    Enqueue,
    ExpireLeases,
    GrantLease,
    RevokeLease,
)
from quorate.store import (
    Commit,
    Compare,
    CompareOperator,
    CompareTarget,
    Content,
    Delete,
    DeleteRange,
    Direction,
    Get,
    Operation,
    Put,
    Range,
    RangeOrder,
)

keys = st.sampled_from([b"a", b"a/1", b"a/2", b"b", b"b\xff", b"c"])
bounds = st.sampled_from([b"", b"a", b"a/", b"a/1\0", b"b", b"c", b"\xff"])
values = st.sampled_from([b"", b"x", b"yy"])
leases = st.sampled_from([0, 0, 1, 2])
revisions = st.one_of(st.just(0), st.integers(1, 30))
puts = st.builds(Put, keys, values, leases)
deletes = st.builds(Delete, keys)
range_deletes = st.builds(DeleteRange, bounds, bounds)
gets = st.builds(Get, keys, revisions)
ranges = st.builds(
    Range,
    bounds,
    bounds,
    limit=st.integers(0, 4),
    revision=revisions,
    order=st.sampled_from(RangeOrder),
    direction=st.sampled_from(Direction),
    content=st.sampled_from(Content),
    min_mod_revision=st.sampled_from([0, 0, 4]),
    max_mod_revision=st.sampled_from([0, 0, 9]),
    min_create_revision=st.sampled_from([0, 0, 3]),
    max_create_revision=st.sampled_from([0, 0, 8]),
)
number_compares = st.builds(
    Compare,
    keys,
    st.sampled_from([target for target in CompareTarget if target is not CompareTarget.VALUE]),
    st.sampled_from(CompareOperator),
    st.integers(0, 6),
    st.one_of(st.none(), bounds),
)
value_compares = st.builds(
    Compare,
    keys,
    st.just(CompareTarget.VALUE),
    st.sampled_from(CompareOperator),
    values,
    st.one_of(st.none(), bounds),
)
compares = st.one_of(number_compares, value_compares)
plain: st.SearchStrategy[Operation] = st.one_of(puts, deletes, range_deletes, gets, ranges)


def commits_of(operations: st.SearchStrategy[Operation]) -> st.SearchStrategy[Operation]:
    branch = st.lists(operations, max_size=3).map(tuple)
    return st.builds(Commit, st.lists(compares, max_size=2).map(tuple), branch, branch)


commits: st.SearchStrategy[Operation] = commits_of(st.one_of(plain, commits_of(plain)))
generations = st.integers(1, 30)
commands: st.SearchStrategy[Command] = st.one_of(
    puts,
    puts,
    deletes,
    range_deletes,
    commits,
    commits,
    st.builds(Enqueue, st.sampled_from([b"a/", b"q/"]), values, leases),
    st.builds(GrantLease, st.sampled_from([1, 2, 3]), st.sampled_from([1000, 60_000])),
    st.builds(RevokeLease, st.sampled_from([1, 2, 3])),
    st.builds(Compact, st.integers(1, 25)),
    st.builds(
        ExpireLeases,
        st.lists(st.tuples(st.sampled_from([1, 2, 3]), generations), max_size=2).map(tuple),
    ),
    st.builds(
        CheckpointLeases,
        st.lists(
            st.tuples(st.sampled_from([1, 2, 3]), st.sampled_from([0, 500, 10**9])), max_size=2
        ).map(tuple),
    ),
)

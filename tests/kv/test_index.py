"""The ordered index against a sorted list of a set."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.kv.index import KeyIndex

small = st.binary(max_size=2)


@given(st.lists(st.tuples(small, st.booleans(), small, small), max_size=80))
@settings(max_examples=200, deadline=None)
def test_order_and_count(steps: list[tuple[bytes, bool, bytes, bytes]]) -> None:
    index, model = KeyIndex(), set[bytes]()
    for key, asked, start, end in steps:
        if key in model:
            index.remove(key)
            model.remove(key)
        else:
            index.add(key)
            model.add(key)
        assert len(index) == len(model)
        if asked:
            expected = sorted(k for k in model if start <= k and (not end or k < end))
            assert list(index.ascending(start, end)) == expected
            assert list(index.descending(start, end)) == expected[::-1]
            assert index.count(start, end) == len(expected)
            assert index.next_keys(start, 2) == sorted(k for k in model if k > start)[:2]


def test_many_pending_keys_are_merged_on_the_way() -> None:
    index = KeyIndex()
    keys = [b"%06d" % (n * 7919 % 10_000) for n in range(10_000)]
    for key in keys:
        index.add(key)
    for key in keys[:9000]:
        index.remove(key)
    assert index.next_keys(None, 2000) == sorted(keys[9000:])

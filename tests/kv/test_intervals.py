"""Ranges that hold a key, against looking at each."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.kv.intervals import RangeMap
from quorate.store import prefix_end

letters = st.binary(max_size=3).map(lambda raw: bytes(b"ab\xff"[byte % 3] for byte in raw))
bounds = st.one_of(
    st.tuples(letters, letters), letters.map(lambda start: (start, prefix_end(start)))
)


@given(st.lists(bounds, max_size=100), st.sets(st.integers(0, 99)), st.lists(letters, max_size=5))
@settings(max_examples=200, deadline=None)
def test_holding(ranges: list[tuple[bytes, bytes]], gone: set[int], keys: list[bytes]) -> None:
    found: RangeMap[int] = RangeMap()
    for item, (start, end) in enumerate(ranges):
        found.add(start, end, item)
    list(found.holding(b"a"))
    kept = dict(enumerate(ranges))
    for item in sorted(gone & kept.keys()):
        found.remove(*kept.pop(item), item)
    for key in keys:
        expected = [
            item for item, (start, end) in kept.items() if start <= key and (not end or key < end)
        ]
        assert sorted(found.holding(key)) == expected

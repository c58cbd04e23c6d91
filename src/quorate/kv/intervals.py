"""Which of many watched ranges hold a key.

Law: the answer is the set of ranges that contain the key, each once, in an order that
depends only on the order of the calls.

Most ranges are prefixes: those are found by looking up the key's own prefixes, one per
distinct length. The rest are kept sorted by start, in blocks that know their highest end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from quorate.store.types import prefix_end

_BLOCK: Final = 64

Item = TypeVar("Item")


class RangeMap(Generic[Item]):
    """Items by the range [start, end) that they are interested in (empty end: unbounded)."""

    __slots__ = ("_blocks", "_lengths", "_others", "_prefixes")

    def __init__(self) -> None:
        self._prefixes: dict[bytes, dict[Item, None]] = {}
        self._lengths: dict[int, int] = {}
        self._others: dict[tuple[bytes, bytes], dict[Item, None]] = {}
        self._blocks: _Blocks | None = None

    def add(self, start: bytes, end: bytes, item: Item) -> None:
        """Add an item that is not there yet."""
        if _is_prefix(start, end):
            items = self._prefixes.get(start)
            if items is None:
                items = self._prefixes[start] = {}
                self._lengths[len(start)] = self._lengths.get(len(start), 0) + 1
        else:
            items = self._others.get((start, end))
            if items is None:
                items = self._others[start, end] = {}
                self._blocks = None
        items[item] = None

    def remove(self, start: bytes, end: bytes, item: Item) -> None:
        """Remove an item that is there."""
        if not _is_prefix(start, end):
            items = self._others[start, end]
            del items[item]
            if not items:
                del self._others[start, end]
                self._blocks = None
            return
        items = self._prefixes[start]
        del items[item]
        if not items:
            del self._prefixes[start]
            self._lengths[len(start)] -= 1
            if not self._lengths[len(start)]:
                del self._lengths[len(start)]

    def holding(self, key: bytes) -> Iterator[Item]:
        """Iterate over the items whose range holds `key`."""
        prefixes = self._prefixes
        for length in self._lengths:
            if length <= len(key):
                items = prefixes.get(key[:length])
                if items is not None:
                    yield from items
        if self._others:
            if self._blocks is None:
                self._blocks = _Blocks(sorted(self._others))
            for bounds in self._blocks.holding(key):
                yield from self._others[bounds]


def _is_prefix(start: bytes, end: bytes) -> bool:
    return end == prefix_end(start)


class _Blocks:
    """Ranges sorted by start, cut into blocks; each block knows its highest end."""

    __slots__ = ("_ends", "_ranges", "_starts")

    def __init__(self, ranges: list[tuple[bytes, bytes]]) -> None:
        self._ranges = ranges
        self._starts = [start for start, _ in ranges]
        self._ends: list[bytes | None] = []
        for place in range(0, len(ranges), _BLOCK):
            ends = [end for _, end in ranges[place : place + _BLOCK]]
            self._ends.append(max(ends) if all(ends) else None)

    def holding(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        high = bisect_right(self._starts, key)
        for block in range((high + _BLOCK - 1) // _BLOCK):
            highest = self._ends[block]
            if highest is not None and highest <= key:
                continue
            place = block * _BLOCK
            for bounds in self._ranges[place : min(high, place + _BLOCK)]:
                if not bounds[1] or key < bounds[1]:
                    yield bounds

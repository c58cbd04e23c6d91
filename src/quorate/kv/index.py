"""An ordered set of keys whose writes are cheap and whose order is made when it is asked for.

Law: the answer never depends on when the pending keys were merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from sortedcontainers import SortedList

_PENDING_MAX: Final = 4096
"""Merging this many keys into a large list takes a few milliseconds, no more."""


class KeyIndex:
    """The keys of a store in byte order.

    Additions and removals only mark the key; the next ordered question merges the marks.
    """

    __slots__ = ("_added", "_removed", "_sorted")

    def __init__(self) -> None:
        self._sorted = SortedList()
        self._added: dict[bytes, None] = {}
        self._removed: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._sorted) + len(self._added) - len(self._removed)

    def add(self, key: bytes) -> None:
        """Add a key that is not in the index."""
        if key in self._removed:
            del self._removed[key]
            return
        self._added[key] = None
        if len(self._added) >= _PENDING_MAX:
            self._merge()

    def remove(self, key: bytes) -> None:
        """Remove a key that is in the index."""
        if key in self._added:
            del self._added[key]
            return
        self._removed[key] = None
        if len(self._removed) >= _PENDING_MAX:
            self._merge()

    def count(self, start: bytes, end: bytes) -> int:
        """Return the number of keys in [start, end); an empty `end` means no upper bound."""
        low, high = self._bounds(start, end)
        return high - low

    def ascending(self, start: bytes, end: bytes) -> Iterator[bytes]:
        """Iterate over the keys in [start, end) upwards. The index must not change meanwhile."""
        low, high = self._bounds(start, end)
        return iter(self._sorted.islice(low, high))

    def descending(self, start: bytes, end: bytes) -> Iterator[bytes]:
        """Iterate over the keys in [start, end) downwards. The index must not change meanwhile."""
        low, high = self._bounds(start, end)
        return iter(self._sorted.islice(low, high, reverse=True))

    def next_keys(self, after: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` keys above `after` (None: from the first)."""
        self._settle()
        low = 0 if after is None else self._sorted.bisect_right(after)
        return list(islice(self._sorted.islice(low), limit))

    def _bounds(self, start: bytes, end: bytes) -> tuple[int, int]:
        self._settle()
        low: int = self._sorted.bisect_left(start) if start else 0
        high: int = self._sorted.bisect_left(end) if end else len(self._sorted)
        return low, max(low, high)

    def _settle(self) -> None:
        if self._added or self._removed:
            self._merge()

    def _merge(self) -> None:
        for key in self._removed:
            self._sorted.remove(key)
        self._sorted.update(self._added)
        self._added = {}
        self._removed = {}

"""Every version of every key since the last compaction.

Laws: a key changes at most once per revision. What can be read, and how many bytes it
counts for, depends on the commands alone: compaction takes effect at once in both, while
the memory is given back in slices, later, and on each node at its own pace.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from heapq import merge
from operator import attrgetter
from typing import Final
from weakref import WeakSet

from quorate.kv.index import KeyIndex
from quorate.store.types import KeyValue

VERSION_BYTES: Final = 192
"""What one version costs beside its key and value: the struct, its numbers, its places."""

_SWEPT: Final = KeyValue(b"", b"", 0, 0, 0)
"""Stands in the log where a forgotten change was."""

_SWEPT_MAX: Final = 8192
"""So many swept places are cut from the front of the log in one move."""

_revision_of = attrgetter("mod_revision")


class Pin:
    """While somebody holds one, no version that can be read at the pin's time is dropped."""

    __slots__ = ("__weakref__",)


class History:
    """The multi-version store. A deletion is a version with number 0 and an empty value."""

    __slots__ = (
        "_freed",
        "_keys",
        "_log",
        "_past",
        "_past_keys",
        "_pins",
        "_replaced",
        "_swept",
        "_to_sweep",
        "compact_revision",
        "live",
        "replaced_bytes",
        "revision",
        "size_bytes",
    )

    def __init__(self) -> None:
        self.revision = 1
        """The last commit that changed something."""
        self.compact_revision = 0
        """The oldest revision that can be read; 0: all can."""
        self.live: dict[bytes, KeyValue] = {}
        """The current version of every key that is not deleted."""
        # A key with one older version keeps it bare: a list for each would be a million
        # objects for the cyclic collector to walk.
        self._past: dict[bytes, KeyValue | list[KeyValue]] = {}
        self._keys = KeyIndex()
        self._past_keys = KeyIndex()
        # One place per change, in order; `_replaced` says how many bytes had been replaced
        # after it, so that a compaction knows at once how much it frees.
        self._log: list[KeyValue] = []
        self._replaced = array("q")
        self._swept = 0
        self._to_sweep = 0
        self._freed = 0
        self.size_bytes = 0
        """The bytes that the readable versions count for."""
        self.replaced_bytes = 0
        """Bytes of versions that were ever replaced; only grows."""
        self._pins: WeakSet[Pin] = WeakSet()

    @property
    def history_bytes(self) -> int:
        """The part of `size_bytes` that a compaction to the current revision would free."""
        return self.replaced_bytes - self._freed

    @property
    def newest_revision(self) -> int:
        """The revision of the newest version: above `revision` while a commit runs."""
        log = self._log
        return max(self.revision, log[-1].mod_revision) if log else self.revision

    def put(self, key: bytes, value: bytes, lease: int, revision: int) -> KeyValue | None:
        """Write a version and return the one it replaces. The caller sets `self.revision`."""
        previous = self.live.get(key)
        if previous is None:
            written = KeyValue(key, value, revision, revision, 1, lease)
            if key in self._past:
                self._past_keys.remove(key)
            self._keys.add(key)
        else:
            # The old version's key is reused: one copy of it for all its versions.
            key = previous.key
            written = KeyValue(
                key, value, previous.create_revision, revision, previous.version + 1, lease
            )
            past = self._past.get(key)
            if past is None:
                self._past[key] = previous
            elif isinstance(past, list):
                past.append(previous)
            else:
                self._past[key] = [past, previous]
            self.replaced_bytes += VERSION_BYTES + len(key) + len(previous.value)
        self.live[key] = written
        self._log.append(written)
        self._replaced.append(self.replaced_bytes)
        self.size_bytes += VERSION_BYTES + len(key) + len(value)
        return previous

    def delete(self, key: bytes, revision: int) -> KeyValue | None:
        """Delete a key and return what was there, if anything. The caller sets `revision`."""
        previous = self.live.pop(key, None)
        if previous is None:
            return None
        key = previous.key
        tombstone = KeyValue(key, b"", 0, revision, 0)
        past = self._past.get(key)
        if past is None:
            self._past[key] = [previous, tombstone]
        elif isinstance(past, list):
            past.append(previous)
            past.append(tombstone)
        else:
            self._past[key] = [past, previous, tombstone]
        self._keys.remove(key)
        self._past_keys.add(key)
        # A compaction that takes the old version takes its tombstone too.
        tombstone_bytes = VERSION_BYTES + len(key)
        self.replaced_bytes += 2 * tombstone_bytes + len(previous.value)
        self._log.append(tombstone)
        self._replaced.append(self.replaced_bytes)
        self.size_bytes += tombstone_bytes
        return previous

    def load(self, version: KeyValue) -> None:
        """Put a version that was alive at the compact revision into an empty history."""
        self.live[version.key] = version
        self._keys.add(version.key)
        self.size_bytes += VERSION_BYTES + len(version.key) + len(version.value)

    def at(self, key: bytes, revision: int) -> KeyValue | None:
        """Return the version of a key that was current at `revision`."""
        live = self.live.get(key)
        if live is not None and live.mod_revision <= revision:
            return live
        past = self._past.get(key)
        if past is None:
            return None
        if isinstance(past, list):
            place = bisect_right(past, revision, key=_revision_of)
            if not place:
                return None
            found = past[place - 1]
        else:
            found = past
            if found.mod_revision > revision:
                return None
        return found if found.version else None

    def count(self, start: bytes, end: bytes) -> int:
        """Return how many keys in [start, end) are alive now."""
        return self._keys.count(start, end)

    def live_ascending(self, start: bytes, end: bytes) -> Iterator[KeyValue]:
        """Iterate over the current versions in [start, end) upwards."""
        return map(self.live.__getitem__, self._keys.ascending(start, end))

    def live_descending(self, start: bytes, end: bytes) -> Iterator[KeyValue]:
        """Iterate over the current versions in [start, end) downwards."""
        return map(self.live.__getitem__, self._keys.descending(start, end))

    def versions_at(self, start: bytes, end: bytes, revision: int) -> Iterator[KeyValue]:
        """Iterate over the versions in [start, end) that were current at `revision`, upwards."""
        keys = merge(self._keys.ascending(start, end), self._past_keys.ascending(start, end))
        for key in keys:
            version = self.at(key, revision)
            if version is not None:
                yield version

    def keys_after(self, after: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` keys above `after`, alive or remembered, in order."""
        alive = self._keys.next_keys(after, limit)
        alive += self._past_keys.next_keys(after, limit)
        alive.sort()
        return alive[:limit]

    def changes(self, from_revision: int, limit: int) -> list[KeyValue]:
        """Return at least `limit` changes since `from_revision`, to the end of a revision.

        Fewer only when there are no more. `from_revision` lies above the compact revision.
        """
        log = self._log
        low = bisect_left(log, from_revision, self._swept, key=_revision_of)
        high = low + limit
        if high < len(log):
            last = log[high - 1].mod_revision
            high = bisect_right(log, last, high, key=_revision_of)
        return log[low:high]

    def changes_of(self, key: bytes, from_revision: int, limit: int) -> list[KeyValue]:
        """Return up to `limit` changes of one key since `from_revision`."""
        past = self._past.get(key)
        changes: list[KeyValue] = []
        if isinstance(past, list):
            low = bisect_left(past, from_revision, key=_revision_of)
            changes = past[low : low + limit]
        elif past is not None and past.mod_revision >= from_revision:
            changes.append(past)
        live = self.live.get(key)
        if live is not None and live.mod_revision >= from_revision and len(changes) < limit:
            changes.append(live)
        return changes

    def last_changes(self, count: int) -> Sequence[KeyValue]:
        """Return the last `count` changes, oldest first."""
        return self._log[-count:]

    def log_length(self) -> int:
        """Return the number of places in the log; the difference of two is a count of changes."""
        return len(self._log)

    def compact(self, revision: int) -> None:
        """Make everything replaced at or before `revision` unreadable, and stop counting it."""
        self.compact_revision = revision
        end = bisect_right(self._log, revision, self._swept, key=_revision_of)
        if end > self._to_sweep:
            self._to_sweep = end
            freed = self._replaced[end - 1]
            self.size_bytes -= freed - self._freed
            self._freed = freed

    def pin(self) -> Pin:
        """Keep all that is readable now for as long as the caller holds the returned object."""
        pin = Pin()
        self._pins.add(pin)
        return pin

    def sweep(self, limit: int) -> bool:
        """Give back the memory of up to `limit` forgotten changes; True if more are waiting."""
        if self._swept == self._to_sweep or len(self._pins):
            return self._swept != self._to_sweep
        log = self._log
        stop = min(self._to_sweep, self._swept + limit)
        for place in range(self._swept, stop):
            self._forget(log[place].key)
            log[place] = _SWEPT
        self._swept = stop
        if stop >= _SWEPT_MAX or stop == self._to_sweep:
            del log[:stop]
            del self._replaced[:stop]
            self._to_sweep -= stop
            self._swept = 0
        return self._swept != self._to_sweep

    def _forget(self, key: bytes) -> None:
        """Drop the versions of one key that were replaced at or before the compact revision."""
        past = self._past.get(key)
        if past is None:
            return
        live = self.live.get(key)
        if live is not None and live.mod_revision <= self.compact_revision:
            del self._past[key]
            return
        if not isinstance(past, list):
            # One older version, and what replaced it is newer than the compaction: if it is a
            # version it is the one to read there, if a tombstone it says nothing any more.
            if not past.version and past.mod_revision <= self.compact_revision:
                del self._past[key]
            return
        first = past[0]
        if first.mod_revision > self.compact_revision or (
            first.version and len(past) > 1 and past[1].mod_revision > self.compact_revision
        ):
            return  # Most changes of a busy key find it done already.
        place = bisect_right(past, self.compact_revision, key=_revision_of) - 1
        if not past[place].version:
            place += 1
        if place == len(past):
            del self._past[key]
            if live is None:
                self._past_keys.remove(key)
        elif place:
            del past[:place]

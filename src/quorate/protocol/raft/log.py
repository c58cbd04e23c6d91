"""The part of the log that is in memory: everything after the last compaction.

Entries are contiguous; `base_index` and `base_term` name the entry just before the first.
Invariants: base_index <= committed <= last_index, and terms never fall.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.protocol.raft.messages import Entry


class Log:
    """Entries by index, with their sizes in bytes."""

    def __init__(self, base_index: int, base_term: int, entries: Sequence[Entry] = ()) -> None:
        self.base_index = base_index
        self.base_term = base_term
        self.last_index = base_index
        """The index of the last entry, or the base when there is none."""
        self._entries: list[Entry] = []
        self.size_bytes = 0
        self.append(entries)

    @property
    def first_index(self) -> int:
        """The index of the first entry held."""
        return self.base_index + 1

    @property
    def last_term(self) -> int:
        """The term of the last entry."""
        return self._entries[-1].term if self._entries else self.base_term

    def term(self, index: int) -> int | None:
        """Return the term of an entry or of the base; None when it is not known here."""
        if index == self.base_index:
            return self.base_term
        if self.base_index < index <= self.last_index:
            return self._entries[index - self.base_index - 1].term
        return None

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries at the end; they must continue the log."""
        if not entries:
            return
        assert entries[0].index == self.last_index + 1, "the log must have no hole"
        assert entries[0].term >= self.last_term, "terms never fall"
        self._entries.extend(entries)
        self.last_index += len(entries)
        self.size_bytes += sum(len(entry.data) for entry in entries)

    def truncate_from(self, index: int) -> None:
        """Remove the entry at `index` and all after it."""
        assert index > self.base_index, "what was compacted is committed and stays"
        position = index - self.base_index - 1
        self.size_bytes -= sum(len(entry.data) for entry in self._entries[position:])
        del self._entries[position:]
        self.last_index = index - 1

    def compact(self, index: int) -> None:
        """Forget the entries up to and including `index`."""
        term = self.term(index)
        assert term is not None, "only a known entry can become the base"
        position = index - self.base_index
        self.size_bytes -= sum(len(entry.data) for entry in self._entries[:position])
        del self._entries[:position]
        self.base_index = index
        self.base_term = term

    def slice(self, start: int, bytes_max: int) -> tuple[Entry, ...]:
        """Return entries from `start` on, at least one, up to about `bytes_max` of data."""
        position = start - self.base_index - 1
        size = 0
        for end in range(position, len(self._entries)):
            size += len(self._entries[end].data)
            if size > bytes_max and end > position:
                return tuple(self._entries[position:end])
        return tuple(self._entries[position:])

    def tail_of(self, end: int, bytes_max: int) -> int:
        """Return the lowest index from which the entries up to `end` fit in `bytes_max`."""
        start = min(end, self.last_index) + 1
        size = 0
        while start > self.first_index:
            size += len(self._entries[start - 2 - self.base_index].data)
            if size > bytes_max:
                break
            start -= 1
        return start

    def between(self, start: int, end: int) -> list[Entry]:
        """Return the entries from `start` to `end`, both included."""
        return self._entries[start - self.base_index - 1 : end - self.base_index]

    def last_index_of_term_at_most(self, index: int, term: int) -> int:
        """Return the largest index <= `index` whose term is <= `term` (base when none)."""
        index = min(index, self.last_index)
        while index > self.base_index:
            found = self.term(index)
            if found is not None and found <= term:
                return index
            index -= 1
        return self.base_index

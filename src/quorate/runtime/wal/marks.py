"""Where every group stands, and which segments it still needs: numbers only, no files.

The log keeps these marks while it appends, and recovery arrives at the same marks by
replaying; both go through `measure`, so they cannot disagree about what a write means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from quorate.runtime.wal.records import GroupMark, GroupWrite


class Effect(NamedTuple):
    """What one write does to the indexes of its group."""

    replaced: bool
    """A snapshot past the end replaced the whole log: no older entry stays."""
    kept: int
    """The last older entry that stays (when not replaced: every older one up to it)."""
    last: int
    snapshot: int


def measure(write: GroupWrite, last: int, snapshot: int) -> Effect:
    """Return what `write` does to a log that ends at `last` and has a snapshot at `snapshot`.

    Raises ValueError when the write would leave a gap or lose what the snapshot covers.
    """
    kept = last
    replaced = False
    if write.truncate_from:
        kept = min(kept, write.truncate_from - 1)
    if write.snapshot is not None and write.snapshot[0] > snapshot:
        snapshot = write.snapshot[0]
        if snapshot > kept:
            kept = snapshot
            replaced = True
    end = kept
    if write.entries:
        start = write.entries[0].index
        if not 1 <= start <= kept + 1:
            raise ValueError(
                f"group {write.group}: entries start at {start}, but the log ends at {kept}"
            )
        for index, entry in enumerate(write.entries, start):
            if entry.index != index:
                raise ValueError(
                    f"group {write.group}: entry {entry.index} stands where {index} belongs"
                )
        kept = min(kept, start - 1)
        end = start + len(write.entries) - 1
    if end < snapshot:
        raise ValueError(
            f"group {write.group}: the log would end at {end}, before its snapshot at {snapshot}"
        )
    return Effect(replaced, kept, end, snapshot)


class Marks:
    """The marks of all groups, and for every segment the entries of each that live in it."""

    def __init__(self, marks: Iterable[GroupMark] = ()) -> None:
        self.groups: dict[int, GroupMark] = {mark.group: mark for mark in marks}
        self._live: dict[int, dict[int, tuple[int, int]]] = {}

    def check(self, writes: Sequence[GroupWrite]) -> None:
        """Raise ValueError when the batch makes no sense; change nothing."""
        ahead: dict[int, Effect] = {}
        for write in writes:
            before = ahead.get(write.group)
            if before is not None:
                effect = measure(write, before.last, before.snapshot)
            elif (mark := self.groups.get(write.group)) is not None:
                effect = measure(write, mark.last, mark.snapshot[0])
            else:
                effect = measure(write, 0, 0)
            ahead[write.group] = effect

    def apply(self, writes: Sequence[GroupWrite], sequence: int) -> None:
        """Note a batch that stands in segment `sequence`; raises ValueError like `check`."""
        for write in writes:
            mark = self.groups.get(write.group)
            if mark is None:
                mark = self.groups[write.group] = GroupMark(write.group)
            self._apply(write, mark, self._live.setdefault(sequence, {}))

    def _apply(self, write: GroupWrite, mark: GroupMark, live: dict[int, tuple[int, int]]) -> None:
        effect = measure(write, mark.last, mark.snapshot[0])
        if write.hard_state is not None:
            mark.hard_state = write.hard_state
        if effect.replaced:
            self._forget(write.group, 0)
            mark.low_water = effect.snapshot + 1
        elif effect.kept < mark.last:
            self._forget(write.group, effect.kept)
        if write.snapshot is not None and effect.snapshot > mark.snapshot[0]:
            mark.snapshot = write.snapshot
        mark.last = effect.last
        if write.entries:
            start = write.entries[0].index
            # A kept tail that is written again may reach below what was released.
            mark.low_water = min(mark.low_water, start)
            low, _ = live.get(write.group, (start, 0))
            live[write.group] = (low, effect.last)

    def _forget(self, group: int, kept: int) -> None:
        """Note that no entry of the group above `kept` lives in what was written so far."""
        for live in self._live.values():
            if group in live:
                low, high = live[group]
                if kept < low:
                    del live[group]
                else:
                    live[group] = (low, min(high, kept))

    def release(self, group: int, below_index: int) -> None:
        """Raise the low-water mark of a group.

        Raises ValueError when a log without the released entries would have a gap after its
        snapshot.
        """
        mark = self.groups.get(group)
        if mark is None or below_index > mark.snapshot[0] + 1:
            raise ValueError(
                f"group {group}: entries below {below_index} are still needed, for there is "
                f"no snapshot at {below_index - 1}"
            )
        mark.low_water = max(mark.low_water, below_index)

    def needs(self, sequence: int) -> bool:
        """Tell whether an entry that a group still needs lives in this segment."""
        live = self._live.get(sequence, {})
        return any(high >= self.groups[group].low_water for group, (_, high) in live.items())

    def forget_segment(self, sequence: int) -> None:
        """Note that a segment is gone."""
        self._live.pop(sequence, None)

    def pinning(self, newest: int) -> Mapping[int, int]:
        """Return how many segments, up to `newest`, each group keeps from removal."""
        pinned = dict.fromkeys(sorted(self.groups), 0)
        for sequence in sorted(self._live, reverse=True):
            for group, (_, high) in self._live[sequence].items():
                if high >= self.groups[group].low_water:
                    pinned[group] = newest - sequence + 1
        return pinned

    def checkpoint(self) -> list[GroupMark]:
        """Return the marks of all groups, in the order of their numbers."""
        return [self.groups[group] for group in sorted(self.groups)]

"""The truth of a run: every version that each key ever had, in order.

Law: before its first change a key is absent, at revision 0. A deletion is a version too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from quorate.simulation.evidence import Change


def _revision_of(change: Change) -> int:
    return change.revision


class Truth:
    """All changes, by key."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.last_revision = max((change.revision for change in changes), default=1)
        self._keys: dict[bytes, list[Change]] = {}
        for change in sorted(changes, key=_revision_of):
            self._keys.setdefault(change.kv.key, []).append(change)

    def of(self, key: bytes) -> Sequence[Change]:
        """Return the changes of a key, by revision."""
        return self._keys.get(key, ())

    def written(self, key: bytes, revision: int) -> Change | None:
        """Return the change of a key at exactly this revision."""
        changes = self.of(key)
        place = bisect_left(changes, revision, key=_revision_of)
        if place < len(changes) and changes[place].revision == revision:
            return changes[place]
        return None

    def before(self, key: bytes, revision: int) -> Change | None:
        """Return the last change of a key below this revision."""
        changes = self.of(key)
        place = bisect_left(changes, revision, key=_revision_of)
        return changes[place - 1] if place else None

    def since(self, key: bytes, revision: int) -> list[Change | None]:
        """Return the versions of a key that were current at `revision` or later.

        None stands for the time before its first change.
        """
        changes = self.of(key)
        place = bisect_right(changes, revision, key=_revision_of)
        return [changes[place - 1] if place else None, *changes[place:]]

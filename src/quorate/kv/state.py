"""All that is replicated, in one place, so that a snapshot can replace it in one step.

Law: a key hangs on exactly the lease that its current version names.
"""

from __future__ import annotations

from quorate.kv.history import History
from quorate.kv.leases import LeaseTable
from quorate.kv.sessions import SessionTable
from quorate.store.types import KeyValue


class State:
    """Versions, leases and sessions as of `applied_index`."""

    __slots__ = ("applied_index", "history", "leases", "sessions", "time_ms")

    def __init__(self, session_window: int) -> None:
        self.history = History()
        self.leases = LeaseTable()
        self.sessions = SessionTable(session_window)
        self.applied_index = 0
        self.time_ms = 0

    def put(self, key: bytes, value: bytes, lease: int, revision: int) -> None:
        """Write a key at `revision`; `lease` is 0 or exists."""
        previous = self.history.put(key, value, lease, revision)
        if lease or (previous is not None and previous.lease):
            self.reattach(key, previous, lease)

    def reattach(self, key: bytes, previous: KeyValue | None, lease: int) -> None:
        """Move a key from the lease of its previous version to `lease`."""
        if previous is not None and previous.lease:
            if previous.lease == lease:
                return
            self.leases.detach(previous.lease, key)
        if lease:
            self.leases.attach(lease, key)

    def delete(self, key: bytes, revision: int) -> int:
        """Delete a key at `revision`; return 1 if there was one."""
        previous = self.history.delete(key, revision)
        if previous is None:
            return 0
        if previous.lease:
            self.leases.detach(previous.lease, key)
        return 1

    def delete_range(self, start: bytes, end: bytes, revision: int) -> int:
        """Delete the keys in [start, end) at `revision`; return how many."""
        doomed = [version.key for version in self.history.live_ascending(start, end)]
        for key in doomed:
            self.delete(key, revision)
        return len(doomed)

    def end_lease(self, lease: int, revision: int) -> int:
        """End a lease that exists and delete its keys at `revision`; return how many."""
        keys = self.leases.keys(lease)
        for key in keys:
            self.delete(key, revision)
        self.leases.remove(lease)
        return len(keys)

"""What the leader knows of one follower, and how much it may send ahead.

Invariant: match < next. In PROBE one message at a time looks for the point where the logs
agree; in REPLICATE messages are pipelined inside a window of messages and bytes; in
SNAPSHOT the log waits for an installation. (As etcd raft's `tracker`.)
"""

from __future__ import annotations

import enum
from collections import deque

from quorate.protocol.raft.messages import SnapshotIdentity


class ProgressState(enum.Enum):
    """How the leader replicates to a follower."""

    PROBE = enum.auto()
    REPLICATE = enum.auto()
    SNAPSHOT = enum.auto()


class Progress:
    """One follower. Indexes of the log, times in nanoseconds."""

    __slots__ = (
        "heard_at",
        "in_flight",
        "in_flight_bytes",
        "match",
        "next",
        "nudged_at",
        "offset",
        "paused",
        "round",
        "sent_at",
        "snapshot",
        "state",
        "told",
    )

    def __init__(self, next_index: int, at: int) -> None:
        self.state = ProgressState.PROBE
        self.match = 0
        self.next = next_index
        self.paused = False
        self.in_flight: deque[tuple[int, int]] = deque()
        self.in_flight_bytes = 0
        self.heard_at = at
        self.sent_at = at
        """When a message was last sent that the follower answers."""
        self.round = 0
        self.snapshot: SnapshotIdentity | None = None
        self.offset = 0
        self.nudged_at = 0
        self.told = 0

    def become_probe(self) -> None:
        """Look for the point where the logs agree, one message at a time."""
        self.state = ProgressState.PROBE
        self.next = self.match + 1
        self.paused = False
        self.snapshot = None
        self._clear_window()

    def become_replicate(self) -> None:
        """Pipeline from the entry after the last one known to match."""
        self.state = ProgressState.REPLICATE
        self.next = self.match + 1
        self.paused = False
        self.snapshot = None
        self._clear_window()

    def become_snapshot(self, snapshot: SnapshotIdentity, at: int) -> None:
        """Wait for the follower to install a snapshot."""
        self.state = ProgressState.SNAPSHOT
        self.snapshot = snapshot
        self.offset = 0
        self.nudged_at = at
        self._clear_window()

    def sent(self, last_index: int, size: int) -> None:
        """Note a pipelined message that ends at `last_index`."""
        self.next = last_index + 1
        self.in_flight.append((last_index, size))
        self.in_flight_bytes += size

    def acknowledged(self, match: int) -> bool:
        """Note that everything up to `match` is on the follower's disk; tell if that is new."""
        while self.in_flight and self.in_flight[0][0] <= match:
            self.in_flight_bytes -= self.in_flight.popleft()[1]
        if match <= self.match:
            return False
        self.match = match
        self.next = max(self.next, match + 1)
        return True

    def free_oldest(self) -> None:
        """Make room for one message when the window is full and a reply may have been lost."""
        if self.in_flight:
            self.in_flight_bytes -= self.in_flight.popleft()[1]

    def _clear_window(self) -> None:
        self.in_flight.clear()
        self.in_flight_bytes = 0

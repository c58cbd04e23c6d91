"""The numbers of one Raft group, checked once. Times are nanoseconds, sizes bytes."""

from __future__ import annotations

import msgspec

from quorate.errors import ConfigurationError

MILLISECOND = 1_000_000


class RaftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Timing and flow control.

    A follower campaigns after a silence drawn anew from [election, 2 x election). The
    heartbeat must be several times shorter, so that one lost message elects nobody.
    """

    heartbeat_ns: int = 100 * MILLISECOND
    election_ns: int = 700 * MILLISECOND
    disconnect_ns: int = 20 * MILLISECOND
    """How long after losing the connection to the leader a follower waits, at least."""
    commit_delay_ns: int = 2 * MILLISECOND
    """How long a commit waits for entries to travel with; only stale reads depend on it."""
    append_bytes_max: int = 1024 * 1024
    window_messages: int = 128
    window_bytes: int = 16 * 1024 * 1024
    uncommitted_bytes_max: int = 64 * 1024 * 1024
    chunk_bytes: int = 1024 * 1024

    def __post_init__(self) -> None:
        if self.heartbeat_ns <= 0 or self.election_ns < 3 * self.heartbeat_ns:
            raise ConfigurationError(
                f"an election timeout of {self.election_ns} ns is under three heartbeats of "
                f"{self.heartbeat_ns} ns: raise the one or lower the other"
            )
        if min(self.append_bytes_max, self.window_messages, self.window_bytes) < 1:
            raise ConfigurationError("append size and window must be at least 1")
        if min(self.uncommitted_bytes_max, self.chunk_bytes) < 1:
            raise ConfigurationError("uncommitted bytes and chunk size must be at least 1")

"""When to forget history: after a time, or earlier when it takes too much room.

Law: pure advice. What is compacted is decided by a command in the log; any node may give
the advice, and it may be given twice.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from quorate.store.limits import Limits

_SAMPLES: Final = 64
"""The time and the room for history are each divided into so many samples."""


class _Sample(msgspec.Struct, frozen=True, gc=False):
    at_ns: int
    revision: int
    replaced_bytes: int


class CompactionPolicy:
    """Remembers which revision there was when, and how much had been replaced by then.

    History is kept for `limits.history_seconds`, but not more than a quarter of the quota;
    when that is exceeded the older half goes.
    """

    def __init__(self, limits: Limits) -> None:
        self._keep_ns = int(limits.history_seconds * 1e9)
        self._keep_bytes = max(1, limits.quota_bytes // 4)
        self._samples: deque[_Sample] = deque()

    def observe(self, now_ns: int, revision: int, replaced_bytes: int) -> None:
        """Note the store's revision, and the bytes ever replaced (`History.replaced_bytes`).

        Call it as often as is convenient; most calls change nothing.
        """
        if self._samples:
            last = self._samples[-1]
            if revision == last.revision or (
                now_ns - last.at_ns < self._keep_ns // _SAMPLES
                and replaced_bytes - last.replaced_bytes < self._keep_bytes // _SAMPLES
            ):
                return
        self._samples.append(_Sample(now_ns, revision, replaced_bytes))

    def target(self, now_ns: int, compact_revision: int, history_bytes: int) -> int:
        """Return the revision to compact to now, 0 for none.

        `history_bytes` is what a compaction to the current revision would free.
        """
        best = 0
        samples = self._samples
        while samples and now_ns - samples[0].at_ns >= self._keep_ns:
            best = samples.popleft().revision
        if history_bytes > self._keep_bytes and samples:
            enough = samples[-1].replaced_bytes - self._keep_bytes // 2
            while len(samples) > 1 and samples[0].replaced_bytes < enough:
                best = samples.popleft().revision
            if not best:
                best = samples.popleft().revision
        return best if best > compact_revision else 0

    def next_deadline(self) -> int | None:
        """Return when, in ns, some history will have been kept for its time; None: never."""
        return self._samples[0].at_ns + self._keep_ns if self._samples else None

    def forget(self) -> None:
        """Drop all samples: the state was replaced, or another node gives the advice now."""
        self._samples.clear()

"""Virtual time: what happens next, in an order that depends on the seed alone.

Law: time moves only when nothing is left to do at the present instant. What is due at the
same time happens in the order in which it was asked for. Every source of chance is a stream
of its own, named, so that leaving one fault out does not change what all others draw.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000
MICROSECOND: Final = 1_000


class Event:
    """Something that is due at a time; `cancel` makes it nothing."""

    __slots__ = ("action", "arguments")

    def __init__(self, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.action: Callable[..., None] | None = action
        self.arguments = arguments

    def cancel(self) -> None:
        """Let it not happen."""
        self.action = None
        self.arguments = ()


class Scheduler:
    """The one queue of a world. `now` is in nanoseconds since the world began."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0
        self.steps = 0
        self.halted = False
        self.trace = Trace()
        self._queue: list[tuple[int, int, Event]] = []
        self._order = 0

    def stream(self, name: str) -> Random:
        """Return a generator of its own for one purpose."""
        digest = blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        return Random(int.from_bytes(digest))  # noqa: S311  it must repeat

    def at(self, when: int, action: Callable[..., None], *arguments: Any) -> Event:
        """Call `action(*arguments)` at `when`, or now if that has passed."""
        event = Event(action, arguments)
        self._order = order = self._order + 1
        now = self.now
        heappush(self._queue, (when if when > now else now, order, event))  # noqa: FURB136  the hottest line
        return event

    def after(self, delay: int, action: Callable[..., None], *arguments: Any) -> Event:
        """Call `action(*arguments)` in `delay` nanoseconds."""
        return self.at(self.now + delay, action, *arguments)

    def halt(self) -> None:
        """Let nothing more happen."""
        self.halted = True

    def run(self, until: int, stop: Callable[[], bool] | None = None) -> None:
        """Let things happen up to the time `until`, until `stop()` is true, or until a halt."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            when, _, event = heappop(queue)
            action = event.action
            if action is None:
                continue
            self.now = when
            self.steps += 1
            action(*event.arguments)
            if self.halted or (stop is not None and stop()):
                return
        self.now = max(self.now, until)


class Trace:
    """A digest over everything that happened, and the lines themselves where they are wanted."""

    __slots__ = ("_checksum", "count", "lines")

    def __init__(self) -> None:
        self._checksum = 0
        self.count = 0
        self.lines: list[tuple[int, str]] | None = None

    def note(self, now: int, what: str) -> None:
        """Add one line."""
        self.count += 1
        self._checksum = zlib.crc32(what.encode(), self._checksum ^ (now & 0xFFFFFFFF))
        if self.lines is not None:
            self.lines.append((now, what))

    def bytes(self, now: int, what: bytes) -> None:
        """Add bytes that moved, by their checksum."""
        self.count += 1
        self._checksum = zlib.crc32(what, self._checksum ^ (now & 0xFFFFFFFF))

    @property
    def digest(self) -> str:
        """What two equal runs have in common."""
        return f"{self.count:x}-{self._checksum:08x}"

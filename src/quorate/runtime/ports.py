"""The ports through which the runtime reaches the world.

Everything above this file gets its files, clock, randomness and background work through
these protocols, so that a simulated world can stand in for the real one. The real
implementations are in `world.py` and `network.py`; `real_ports.py` puts them together.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class File(Protocol):
    """An open file, addressed by offset. Blocking: use it from `Background` only."""

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`; raises OSError."""

    def read(self, offset: int, size: int) -> bytes:
        """Read up to `size` bytes at `offset`; shorter only at the end of the file."""

    def size(self) -> int:
        """Return the size in bytes."""

    def truncate(self, size: int) -> None:
        """Cut or extend (with zeros) to `size` bytes."""

    def sync(self) -> None:
        """Make all written data durable (fdatasync); raises OSError."""

    def close(self) -> None:
        """Close; never syncs."""


class Files(Protocol):
    """The file operations that the runtime needs. Paths are plain strings. Blocking."""

    def open(self, path: str) -> File:
        """Open for reading and writing; raises FileNotFoundError."""

    def create(self, path: str) -> File:
        """Create or empty a file (mode 0600) and open it."""

    def exists(self, path: str) -> bool:
        """Tell whether the path names a file or directory."""

    def list(self, directory: str) -> Sequence[str]:
        """Return the sorted names in a directory; empty when there is no such directory."""

    def make_directory(self, path: str) -> None:
        """Create a directory (mode 0700) with its parents; fine when it exists."""

    def rename(self, source: str, target: str) -> None:
        """Replace `target` by `source` atomically."""

    def remove(self, path: str) -> None:
        """Remove a file; fine when there is none."""

    def sync_directory(self, path: str) -> None:
        """Make creations, renames and removals in a directory durable."""

    def lock(self, path: str) -> Callable[[], None]:
        """Take an exclusive advisory lock on a file (created at need) and return its release.

        Raises BlockingIOError when another process holds it.
        """


class Background(Protocol):
    """Runs blocking work off the event loop, one call after the other."""

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run `function(*arguments)` and return or raise what it does."""

    def close(self) -> None:
        """Wait for what runs, then end."""


class Clock(Protocol):
    """Two clocks, in nanoseconds."""

    def monotonic(self) -> int:
        """Never goes back and runs on while the machine sleeps (CLOCK_BOOTTIME)."""

    def wall(self) -> int:
        """Unix time; information only, nothing expires by it."""


class Randomness(Protocol):
    """The generator for identifiers and for jitter."""

    def bits(self, count: int) -> int:
        """Return a number of `count` random bits."""

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`."""


class Listening(Protocol):
    """Something that accepts connections until it is closed."""

    @property
    def port(self) -> int:
        """The port that was bound, also when 0 was asked for."""

    def close(self) -> None:
        """Accept no more; connections that were accepted live on."""


class Network(Protocol):
    """Byte streams. Each connection is an `asyncio.Protocol` that the factory makes.

    A transport must offer `write`, `writelines`, `close`, `abort`, `pause_reading`,
    `resume_reading`, `set_write_buffer_limits`, `get_write_buffer_size` and `get_extra_info`.
    """

    async def connect(
        self,
        factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Connect and return after `connection_made`; raises OSError."""

    async def listen(
        self,
        factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> Listening:
        """Accept connections; port 0 means any free one. Raises OSError."""


@dataclass(frozen=True)
class Ports:
    """All of the world that one process sees."""

    files: Files
    network: Network
    clock: Clock
    randomness: Randomness
    background: Callable[[str], Background]
    """Makes a line of background work of its own; the name is for people."""

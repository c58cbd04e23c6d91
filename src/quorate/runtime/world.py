"""The real world behind the ports: the only file that opens files and reads clocks.

Law: nothing here knows what the bytes mean, and nothing here retries. An `OSError` goes up
as it came, because only the caller can tell a full disk from a failed one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from random import SystemRandom
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from quorate.runtime.ports import File

Result = TypeVar("Result")

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


class RealFile:
    """An open file descriptor, addressed by offset."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`; raises OSError."""
        written = os.pwrite(self._descriptor, data, offset)
        while written < len(data):
            # A short write is legal near a limit; the next one then gives the reason.
            rest = memoryview(data)[written:]
            written += os.pwrite(self._descriptor, rest, offset + written)

    def read(self, offset: int, size: int) -> bytes:
        """Read up to `size` bytes at `offset`; shorter only at the end of the file."""
        data = os.pread(self._descriptor, size, offset)
        if len(data) == size or not data:
            return data
        pieces = [data]
        held = len(data)
        while held < size and (data := os.pread(self._descriptor, size - held, offset + held)):
            pieces.append(data)
            held += len(data)
        return b"".join(pieces)

    def size(self) -> int:
        """Return the size in bytes."""
        return os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        """Cut or extend (with zeros) to `size` bytes."""
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        """Make all written data durable (fdatasync); raises OSError."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close; never syncs. Fine when it is closed already."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RealFiles:
    """The operating system's files."""

    def open(self, path: str) -> File:
        """Open for reading and writing; raises FileNotFoundError."""
        return RealFile(os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def create(self, path: str) -> File:
        """Create or empty a file (mode 0600) and open it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return RealFile(os.open(path, flags, FILE_MODE))

    def exists(self, path: str) -> bool:
        """Tell whether the path names a file or directory."""
        return Path(path).exists()

    def list(self, directory: str) -> Sequence[str]:
        """Return the sorted names in a directory; empty when there is no such directory."""
        try:
            with os.scandir(directory) as found:
                return sorted(entry.name for entry in found)
        except FileNotFoundError:
            return []

    def make_directory(self, path: str) -> None:
        """Create a directory (mode 0700) with its parents, durably; fine when it exists."""
        missing = []
        directory = Path(path)
        while not directory.is_dir():
            missing.append(directory)
            directory = directory.parent
        # One by one, because `parents=True` would give the parents the umask's mode.
        for child in reversed(missing):
            child.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            self.sync_directory(str(child.parent))

    def rename(self, source: str, target: str) -> None:
        """Replace `target` by `source` atomically."""
        Path(source).replace(target)

    def remove(self, path: str) -> None:
        """Remove a file; fine when there is none."""
        Path(path).unlink(missing_ok=True)

    def sync_directory(self, path: str) -> None:
        """Make creations, renames and removals in a directory durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: str) -> Callable[[], None]:
        """Take an exclusive advisory lock on a file (created at need) and return its release.

        Raises BlockingIOError when another process holds it. The lock ends with the process.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        # Closing the descriptor gives the lock up; RealFile makes a second release harmless.
        return RealFile(descriptor).close


class RealClock:
    """The machine's clocks, in nanoseconds."""

    def monotonic(self) -> int:
        """Never goes back and runs on while the machine sleeps (CLOCK_BOOTTIME)."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall(self) -> int:
        """Unix time; information only, nothing expires by it."""
        return time.time_ns()


class RealRandomness:
    """The operating system's generator: fit for identifiers that nobody may guess."""

    def __init__(self) -> None:
        self._generator = SystemRandom()

    def bits(self, count: int) -> int:
        """Return a number of `count` random bits."""
        return secrets.randbits(count)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`."""
        return self._generator.uniform(low, high)


class _Work(NamedTuple):
    """One call that waits for the thread, and where its outcome goes."""

    function: Callable[..., Any]
    arguments: tuple[object, ...]
    loop: asyncio.AbstractEventLoop
    outcome: asyncio.Future[Any]


class ThreadBackground:
    """One thread that runs blocking calls in the order in which they were asked for.

    An awaiter that is cancelled only stops listening: the call itself still happens, in its
    turn, because a half-cancelled disk write would be worse than an unheard one.
    """

    def __init__(self, name: str = "quorate-disk") -> None:
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        # A daemon, so that a process which forgets to close can still exit. What the thread
        # writes must survive a crash at any point anyway.
        self._thread = Thread(target=_serve, args=(self._queue,), name=name, daemon=True)
        self._thread.start()
        self._closed = False

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run `function(*arguments)` and return or raise what it does.

        Raises RuntimeError after `close`.
        """
        if self._closed:
            raise RuntimeError("background work was asked for after close")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Result] = loop.create_future()
        self._queue.put(_Work(function, arguments, loop, outcome))
        return await outcome

    def close(self) -> None:
        """Wait for what was asked for before, then end the thread. Fine to call twice."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()


def _serve(queue: SimpleQueue[_Work | None]) -> None:
    while (work := queue.get()) is not None:
        _perform(work)
        # Let go of the arguments and the result: the next call may be hours away.
        del work


def _perform(work: _Work) -> None:
    error: BaseException | None = None
    result: object = None
    try:
        result = work.function(*work.arguments)
    except StopIteration as stop:
        # A future cannot carry it; PEP 479 shows what it becomes.
        error = RuntimeError("background work raised StopIteration")
        error.__cause__ = stop
    except BaseException as raised:  # noqa: BLE001 - the awaiter decides, this thread lives on
        error = raised
    with suppress(RuntimeError):  # the loop was closed: nobody is left to hear the outcome
        work.loop.call_soon_threadsafe(_settle, work.outcome, result, error)


def _settle(outcome: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if outcome.done():  # its awaiter was cancelled
        return
    if error is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(error)

"""The segment files: their names, their bytes, and the spare ones that stand ready.

Law: a segment is in use only after every byte of it was written once, synced, and its name
made durable, so that an append never waits for the file system to find it a place. A new
one holds zeros. A retired one is used again with what it held, but for its opening, which is
zeroed: what the log finds past its last record is zero, what a torn write left, or a record
of a batch long before, and batch numbers tell those apart.
"""

from __future__ import annotations

import errno

from quorate.runtime.ports import File, Files
from quorate.runtime.wal.records import HEADER_BYTES, PREAMBLE_BYTES

PREFIX = "wal-"
SUFFIX = ".log"
RESERVE = "wal-reserve.log"
UNFINISHED = "wal-spare.tmp"
RETIRED = "wal-retired-"
RETIRED_MAX = 8
"""So many segments that nobody needs any more are kept for another use."""
OPENING_BYTES = 4096
"""Zeroed before a retired segment is used again: no opening of its former life is left."""
SLICE_BYTES = 1024 * 1024
SMALLEST_SEGMENT = 256
"""Room for a preamble, a checkpoint of one group and a record; tests go that low."""


def segment_path(directory: str, sequence: int) -> str:
    """Return the path of the segment with this sequence number."""
    return f"{directory}/{PREFIX}{sequence:016x}{SUFFIX}"


def sequence_of(name: str) -> int | None:
    """Return the sequence number in a file name, or None when it names no segment."""
    digits = name[len(PREFIX) : -len(SUFFIX)]
    if len(digits) != 16 or not (name.startswith(PREFIX) and name.endswith(SUFFIX)):
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None


class Segment:
    """One open segment file; records end at `end`."""

    __slots__ = ("end", "file", "path", "sequence", "size")

    def __init__(self, path: str, sequence: int, file: File) -> None:
        self.path = path
        self.sequence = sequence
        self.file = file
        self.size = file.size()
        self.end = 0

    @property
    def room(self) -> int:
        """How many bytes are free."""
        return self.size - self.end

    def image(self) -> bytes:
        """Read the whole segment."""
        return self.file.read(0, self.size)

    def grow(self, size: int) -> None:
        """Write zeros up to `size` and sync; the segment keeps its size on any OSError."""
        try:
            write_zeros(self.file, self.size, size)
            self.file.sync()
        except OSError:
            self.file.truncate(self.size)
            raise
        self.size = max(self.size, size)


def write_zeros(file: File, start: int, end: int) -> None:
    """Write zeros from `start` up to `end`, in slices; raises OSError."""
    zeros = bytes(min(SLICE_BYTES, max(0, end - start)))
    while start < end:
        count = min(len(zeros), end - start)
        file.write(start, zeros[:count])
        start += count


class Spares:
    """The next segment, the reserve, and the one that is being zeroed to become either.

    The reserve is taken only when the disk is full, by batches without users' data.
    Every method raises the OSError of the disk; ENOSPC leaves the spares as they were.
    """

    def __init__(self, files: Files, directory: str, segment_bytes: int) -> None:
        if segment_bytes < SMALLEST_SEGMENT:
            raise ValueError(f"a segment takes at least {SMALLEST_SEGMENT} bytes")
        self._files = files
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._reserve_path = f"{directory}/{RESERVE}"
        self._unfinished_path = f"{directory}/{UNFINISHED}"
        self._unfinished: File | None = None
        self._filled = 0
        self._retired: list[str] = []
        self.next: Segment | None = None
        self.has_reserve = False

    @property
    def ready(self) -> bool:
        """Whether the next segment and the reserve both stand ready."""
        return self.has_reserve and self.next is not None

    @property
    def count(self) -> int:
        """How many finished spare segments there are."""
        return (self.next is not None) + self.has_reserve

    @property
    def size_bytes(self) -> int:
        """The size of all spare files."""
        reserve = self._segment_bytes if self.has_reserve else 0
        retired = len(self._retired) * self._segment_bytes
        return self._filled + reserve + retired + (self.next.size if self.next is not None else 0)

    def open(self) -> None:
        """Find the spares that an earlier run left, and remove what it left unfinished."""
        self.has_reserve = self._files.exists(self._reserve_path)
        self._files.remove(self._unfinished_path)
        self._retired = [
            f"{self._directory}/{name}"
            for name in self._files.list(self._directory)
            if name.startswith(RETIRED)
        ]

    def create_first(self, sequence: int, opening: bytes) -> None:
        """Make the segment with which a log begins: it appears whole, with its opening."""
        self._fill(self._segment_bytes)
        assert self._unfinished is not None, "a filled segment is open"
        self._unfinished.write(0, opening)
        self._unfinished.sync()
        self._finish(segment_path(self._directory, sequence)).close()

    def prepare_slice(self, sequence: int) -> bool:
        """Do a bounded part of the work for the reserve, then for the next segment.

        Return True when both stand ready.
        """
        if not self.has_reserve:
            self._make_reserve(SLICE_BYTES)
        elif self.next is None:
            self._make_next(sequence, SLICE_BYTES)
        return self.ready

    def make_reserve(self) -> None:
        """Make the reserve, if there is none."""
        if not self.has_reserve:
            self._make_reserve(self._segment_bytes)

    def take(self, sequence: int, size: int) -> Segment:
        """Return the next segment with at least `size` bytes, made now when none is ready.

        It stays the next one until `taken` says that the log goes on in it.
        """
        if self.next is None:
            self._make_next(sequence, self._segment_bytes)
        assert self.next is not None, "a whole segment was filled"
        if self.next.size < size:
            self.next.grow(max(size, self._segment_bytes))
        return self.next

    def take_reserve(self, sequence: int, size: int) -> Segment:
        """Make the reserve the next segment; raises ENOSPC when there is no help in it."""
        if not self.has_reserve or self.next is not None:
            raise OSError(errno.ENOSPC, "no reserve segment is left", self._reserve_path)
        path = segment_path(self._directory, sequence)
        self._files.rename(self._reserve_path, path)
        self._files.sync_directory(self._directory)
        self.has_reserve = False
        self.next = Segment(path, sequence, self._files.open(path))
        return self.take(sequence, size)

    def taken(self) -> None:
        """Note that the log goes on in what was the next segment."""
        self.next = None

    def retire(self, segment: Segment) -> None:
        """Take a segment out of the log, durably; keep it for another use if it is of use."""
        segment.file.close()
        if segment.size == self._segment_bytes and len(self._retired) < RETIRED_MAX:
            path = f"{self._directory}/{RETIRED}{segment.sequence:016x}{SUFFIX}"
            self._files.rename(segment.path, path)
            self._retired.append(path)
        else:
            self._files.remove(segment.path)
        self._files.sync_directory(self._directory)

    def close(self) -> None:
        """Close what is open."""
        if self.next is not None:
            self.next.file.close()
            self.next = None
        if self._unfinished is not None:
            self._unfinished.close()
            self._unfinished = None

    def _fill(self, count: int) -> bool:
        """Zero and sync `count` more bytes of the unfinished file; return True when full."""
        try:
            if self._unfinished is None:
                self._unfinished = self._files.create(self._unfinished_path)
                self._filled = 0
            end = min(self._segment_bytes, self._filled + count)
            write_zeros(self._unfinished, self._filled, end)
            self._unfinished.sync()
        except OSError:
            # Give the space back: on a full disk somebody else needs it more.
            self._discard_unfinished()
            raise
        self._filled = end
        return end == self._segment_bytes

    def _discard_unfinished(self) -> None:
        if self._unfinished is not None:
            self._unfinished.close()
            self._unfinished = None
        self._filled = 0
        self._files.remove(self._unfinished_path)

    def _make_reserve(self, count: int) -> None:
        """Make the reserve, or `count` bytes of it."""
        file = self._recycle(self._reserve_path)
        if file is None and self._fill(count):
            file = self._finish(self._reserve_path)
        if file is not None:
            file.close()
            self.has_reserve = True

    def _make_next(self, sequence: int, count: int) -> None:
        """Make the next segment, or `count` bytes of it."""
        path = segment_path(self._directory, sequence)
        file = self._recycle(path)
        if file is None and self._fill(count):
            file = self._finish(path)
        if file is not None:
            self.next = Segment(path, sequence, file)

    def _recycle(self, path: str) -> File | None:
        """Give a retired segment a new name and return it open; None when there is none."""
        while self._retired:
            file = self._files.open(self._retired[0])
            try:
                if file.size() != self._segment_bytes:  # of a run with another size
                    file.close()
                    self._files.remove(self._retired.pop(0))
                    continue
                write_zeros(file, 0, min(OPENING_BYTES, self._segment_bytes))
                file.sync()
                self._files.rename(self._retired[0], path)
                del self._retired[0]
                self._files.sync_directory(self._directory)
            except OSError:
                file.close()
                raise
            return file
        return None

    def _finish(self, path: str) -> File:
        """Give the unfinished file its name, durably, and return it open."""
        assert self._unfinished is not None, "only a filled segment is finished"
        file, self._unfinished = self._unfinished, None
        self._filled = 0
        try:
            self._files.rename(self._unfinished_path, path)
            self._files.sync_directory(self._directory)
        except OSError:
            file.close()
            raise
        return file


assert PREAMBLE_BYTES + 2 * HEADER_BYTES < SMALLEST_SEGMENT

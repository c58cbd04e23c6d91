"""The write-ahead log of all groups: one batch, one record, one sync.

Law: when `append` returns, the batch is durable; when it raises, nothing was promised. After
a failed write or sync the log says `StorageFailed` to every later call, because what is on
the disk is unknown then and asking a second time would not make it known.

Blocking, and not thread-safe: all calls come from one thread. The caller holds the data
directory's lock.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from quorate.errors import DiskFull, LogDamaged, StorageFailed
from quorate.protocol.raft.messages import Entry, HardState
from quorate.runtime.ports import Files
from quorate.runtime.wal import records
from quorate.runtime.wal.records import GroupWrite, RecordKind
from quorate.runtime.wal.recovery import Recovered, RecoveredGroup, damaged, recover
from quorate.runtime.wal.segment import Segment, Spares, segment_path

DEFAULT_SEGMENT_BYTES = 16 * 1024 * 1024
FIRST_SEQUENCE = 1

Result = TypeVar("Result")


class Wal:
    """An open log. Made by `Wal.open`."""

    def __init__(self, files: Files, directory: str, recovered: Recovered, spares: Spares) -> None:
        self._files = files
        self._directory = directory
        self._segments = recovered.segments
        self._current = recovered.segments[-1]
        self._marks = recovered.marks
        self._salt = recovered.salt
        self._chain = recovered.chain
        self._batch = recovered.batch
        self._spares = spares
        self._spares.next = recovered.spare
        self._sync_count = 0
        self._failure: BaseException | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        files: Files,
        directory: str,
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        salt: int = 0,
    ) -> tuple[Wal, dict[int, RecoveredGroup]]:
        """Open the log in `directory`, made when absent; return it and what it holds.

        A torn last batch is cut, durably. `segment_bytes` is the size of new segments.
        `salt` (32 bits) is used when the log is made: a number that clients cannot know, so
        that no value which they store can pass for a record of the log.

        Raises LogDamaged when acknowledged batches are damaged or missing, DiskFull when
        there is no space to make a log, ConfigurationError when a later release wrote it,
        and StorageFailed on any other error of the disk.
        """
        spares = Spares(files, directory, segment_bytes)
        try:
            files.make_directory(directory)
            spares.open()
            recovered = recover(files, directory)
            if recovered is None:
                recovered = _create(files, directory, spares, salt)
        except OSError as error:
            spares.close()
            raise _translated(error, directory) from error
        wal = cls(files, directory, recovered, spares)
        try:
            spares.make_reserve()
        except OSError as error:
            # Without space a node still has to open its log, to be read and to be left.
            if error.errno != errno.ENOSPC:
                wal.close()
                raise _translated(error, directory) from error
        return wal, recovered.groups

    @property
    def size_bytes(self) -> int:
        """The size of all segment files, the spare ones included."""
        return sum(segment.size for segment in self._segments) + self._spares.size_bytes

    @property
    def segment_count(self) -> int:
        """How many segments hold records."""
        return len(self._segments)

    @property
    def last_batch(self) -> int:
        """The number of the last durable batch; 0 before the first."""
        return self._batch

    @property
    def sync_count(self) -> int:
        """How many batches were synced since the log was opened."""
        return self._sync_count

    @property
    def prepared(self) -> bool:
        """Whether the next segment and the reserve both stand ready."""
        return self._spares.ready

    def append(self, writes: Sequence[GroupWrite]) -> None:
        """Make one batch durable, whole or not at all.

        Raises ValueError when a write would leave a gap in a group's log (nothing is
        written), DiskFull when there is no space (nothing of the batch counts as written and
        the log stays usable), and StorageFailed when a write or the sync failed.

        While the disk is full, batches without an entry of kind NORMAL still succeed, as
        long as the reserve lasts.
        """
        self._refuse_when_unusable()
        if not writes:
            return
        self._marks.check(writes)
        body = records.encode_batch(writes)
        segment = self._current
        opening = b""
        chain = self._chain
        if not self._spares.has_reserve and not records.is_essential(writes):
            # What is left of the last segment belongs to the batches that may use the reserve.
            self._prepare(self._spares.make_reserve)
        if segment.room < records.record_bytes(body):
            opening, chain = self._opening(segment.sequence + 1)
            size = len(opening) + records.record_bytes(body)
            segment = self._next_segment(size, writes)
        record, chain = records.encode_record(
            RecordKind.BATCH, self._batch + 1, body, chain, self._salt
        )
        self._write(segment, opening + record if opening else record)
        if opening:
            self._spares.taken()
            self._segments.append(segment)
            self._current = segment
        self._chain = chain
        self._batch += 1
        self._marks.apply(writes, segment.sequence)

    def rewrite(
        self,
        group: int,
        hard_state: HardState,
        snapshot: tuple[int, int],
        entries: Sequence[Entry],
    ) -> None:
        """Append the whole live tail of a group again, so that old segments can go.

        `entries` are all that the group still needs: they begin at or before the snapshot's
        index plus one and reach to the end of its log. Raises what `append` and `release` do.
        """
        self._refuse_when_unusable()
        mark = self._marks.groups.get(group)
        first = entries[0].index if entries else snapshot[0] + 1
        last = entries[-1].index if entries else snapshot[0]
        if first > snapshot[0] + 1 or (mark is not None and last < mark.last):
            raise ValueError(
                f"group {group}: the tail given, {first} to {last}, is not the whole of what "
                f"follows the snapshot at {snapshot[0]}"
            )
        self.append((GroupWrite(group, hard_state, entries, snapshot=snapshot),))
        self.release(group, first)

    def release(self, group: int, below_index: int) -> None:
        """Say that a group needs no entry below this index; remove what nobody needs then.

        Raises ValueError when no snapshot covers the entries, StorageFailed when a segment
        cannot be removed.
        """
        self._refuse_when_unusable()
        self._marks.release(group, below_index)
        try:
            # From the oldest on only, and each made durable before the next: a crash must
            # not leave a hole, which would look like damage.
            while len(self._segments) > 1 and not self._marks.needs(self._segments[0].sequence):
                segment = self._segments.pop(0)
                self._spares.retire(segment)
                self._marks.forget_segment(segment.sequence)
        except OSError as error:
            raise self._failed(error) from error

    def pinning(self) -> Mapping[int, int]:
        """Return how many segments each group's low-water mark keeps from removal.

        A segment is removed only with all before it, so a group pins every segment from the
        oldest that holds an entry it needs.
        """
        return self._marks.pinning(self._current.sequence)

    def prepare_next(self) -> bool:
        """Do a slice of the zero-writing for the next segment and for the reserve.

        At most one mebibyte is written and synced per call, so that an append which waits
        for the thread does not wait long. Call until it returns True: both stand ready.
        Raises DiskFull when there is no space, StorageFailed on another error.
        """
        self._refuse_when_unusable()
        return self._prepare(lambda: self._spares.prepare_slice(self._current.sequence + 1))

    def close(self) -> None:
        """Close the files. All that was acknowledged is durable already."""
        if self._closed:
            return
        self._closed = True
        self._spares.close()
        for segment in self._segments:
            segment.file.close()

    def _opening(self, sequence: int) -> tuple[bytes, int]:
        body = records.encode_checkpoint(self._marks.checkpoint())
        return _opening(self._salt, sequence, self._chain, self._batch + 1, body)

    def _next_segment(self, size: int, writes: Sequence[GroupWrite]) -> Segment:
        """Return an unused segment that takes `size` bytes; raises DiskFull."""
        sequence = self._current.sequence + 1
        try:
            return self._prepare(lambda: self._spares.take(sequence, size))
        except DiskFull:
            if not records.is_essential(writes):
                raise
        return self._prepare(lambda: self._spares.take_reserve(sequence, size))

    def _prepare(self, step: Callable[[], Result]) -> Result:
        """Run a step that makes space. Nothing depends on it yet, so ENOSPC breaks nothing."""
        try:
            return step()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise _translated(error, self._directory) from error
            raise self._failed(error) from error

    def _write(self, segment: Segment, data: bytes) -> None:
        """Write and sync `data` at the end of a segment."""
        start = segment.end
        try:
            segment.file.write(start, data)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise self._failed(error) from error
            # Zero-written segments have their space, except on copy-on-write file systems.
            self._take_back(segment, start)
            raise _translated(error, segment.path) from error
        try:
            segment.file.sync()
        except OSError as error:
            raise self._failed(error) from error
        segment.end = start + len(data)
        self._sync_count += 1

    def _take_back(self, segment: Segment, start: int) -> None:
        """Cut what was written of a refused batch, so that it cannot come back.

        Durably, for its number goes to the next batch, perhaps in the next segment.
        """
        try:
            segment.file.truncate(start)
            segment.file.sync()
        except OSError as error:
            raise self._failed(error) from error
        segment.size = start

    def _failed(self, error: OSError) -> StorageFailed:
        """Refuse everything from now on, and return the error to raise."""
        self._failure = error
        return StorageFailed(
            f"the log in {self._directory} could not be written: {error}. What is on the disk "
            "is unknown, so this node has to stop; look at the disk before you start it again"
        )

    def _refuse_when_unusable(self) -> None:
        if self._failure is not None:
            raise StorageFailed(
                f"the log in {self._directory} failed before ({self._failure}): this node has "
                "to stop"
            )
        if self._closed:
            raise ValueError(f"the log in {self._directory} is closed")


def _create(files: Files, directory: str, spares: Spares, salt: int) -> Recovered:
    """Make a log of one segment, which appears whole or not at all."""
    if spares.has_reserve:
        # The reserve is made after the first segment, so there was one.
        path = segment_path(directory, FIRST_SEQUENCE)
        raise damaged(path, 0, "all segments are missing, though the reserve is here")
    opening, chain = _opening(salt, FIRST_SEQUENCE, 0, 1, records.encode_checkpoint(()))
    spares.create_first(FIRST_SEQUENCE, opening)
    recovered = recover(files, directory)
    if recovered is None or recovered.chain != chain:
        raise LogDamaged(f"the log just made in {directory} cannot be read back: check the disk")
    return recovered


def _opening(
    salt: int, sequence: int, chain: int, batch: int, checkpoint: bytes
) -> tuple[bytes, int]:
    """Encode the opening of a segment; return its bytes and the chain it leaves."""
    preamble = records.encode_preamble(salt, sequence, chain)
    record, chain = records.encode_record(RecordKind.CHECKPOINT, batch, checkpoint, chain, salt)
    return preamble + record, chain


def _translated(error: OSError, path: str) -> DiskFull | StorageFailed:
    """Return our error for one of the disk."""
    if error.errno == errno.ENOSPC:
        return DiskFull(
            f"no space left for the log at {path}: nothing was lost; free space on its disk"
        )
    return StorageFailed(f"the log at {path} could not be opened or written: {error}")

"""Reading the log back: what is whole is replayed, a tear is cut, damage is refused.

The rule. Batch b+1 is written only after batch b was synced. So when the bytes where batch
b+1 should stand make no sense, then either

- no later batch is anywhere behind them: b+1 was being written when the power went, nobody
  was told that it is durable, and it is cut; or
- an intact header of batch b+2 or later is behind them: b+1 was durable once, somebody may
  lean on it, and the node must not start (`LogDamaged`).

What this cannot see: damage to the very last batch, or a log that lost whole batches at its
end, looks like a log that ended earlier.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quorate.errors import ConfigurationError, LogDamaged
from quorate.protocol.raft.messages import Entry, HardState
from quorate.runtime.ports import Files
from quorate.runtime.wal import records
from quorate.runtime.wal.marks import Marks, measure
from quorate.runtime.wal.records import GroupMark, GroupWrite, Header, Preamble, RecordKind
from quorate.runtime.wal.segment import (
    SLICE_BYTES,
    Segment,
    segment_path,
    sequence_of,
    write_zeros,
)

WAY_OUT = (
    "Starting from it could lose acknowledged writes. Replace this member: remove it from the "
    "cluster and add it anew with an empty directory, so that the others restore it. If no "
    "quorum of the others is left, see `quorate recover`."
)


class RecoveredGroup(msgspec.Struct):
    """What the log still holds of one group."""

    hard_state: HardState
    """Its commit is never past the last entry."""
    entries: list[Entry]
    """Contiguous. May begin before the snapshot (a kept tail), never after its index + 1."""
    snapshot: tuple[int, int]
    """(index, term) of the newest snapshot that the log was told of; (0, 0) is none."""

    def continuing(self, index: int, term: int) -> list[Entry]:
        """Return the entries that follow a snapshot at (index, term).

        A received snapshot is on disk before the log is told of it. After a crash in between
        the log may hold another leader's entries up to there and beyond: they do not follow.
        Once it was told, what stands beyond the snapshot was judged or written since, whatever
        is left of the entries below.
        """
        if self.snapshot[0] < index:
            at = next((entry for entry in self.entries if entry.index == index), None)
            if at is not None and at.term != term:
                return []
        return [entry for entry in self.entries if entry.index > index]


class Recovered(msgspec.Struct):
    """A log that is ready to be appended to."""

    segments: list[Segment]
    """In order; the last is the one to go on in."""
    spare: Segment | None
    """A prepared segment after the last one."""
    marks: Marks
    groups: dict[int, RecoveredGroup]
    salt: int
    chain: int
    batch: int


class _Tail:
    """The entries of one group that replay has met so far, from `first` on."""

    __slots__ = ("entries", "first")

    def __init__(self, first: int) -> None:
        self.first = first
        self.entries: list[Entry] = []

    def apply(self, write: GroupWrite, mark: GroupMark) -> None:
        """Do to the entries what the write did to the log that stood at `mark`."""
        effect = measure(write, mark.last, mark.snapshot[0])
        if effect.replaced or effect.kept < self.first:
            self.first = effect.kept + 1
            self.entries.clear()
        else:
            del self.entries[effect.kept + 1 - self.first :]
        self.entries.extend(write.entries)


class _Replay:
    """The walk through the records, and the state that they add up to."""

    def __init__(self) -> None:
        self.marks = Marks()
        self.tails: dict[int, _Tail] = {}
        self.salt = 0
        self.chain = 0
        self.batch = 0
        self.last_record = 0
        """Offset, in the segment read last, from which the last batch was written."""

    def begin(self, segment: Segment, image: bytes) -> None:
        """Take the oldest segment's opening; raises LogDamaged when it is not whole.

        It cannot be torn: a log begins with an opening that is durable before it has its
        name, and older segments are removed only after a synced batch followed the opening.
        """
        preamble = _read_preamble(segment, image)
        if preamble is None:
            raise damaged(segment.path, 0, "the opening of the oldest segment is damaged")
        self.salt = preamble.salt
        self.chain = preamble.chain
        offset = records.PREAMBLE_BYTES
        header = records.read_header(image, offset, self.salt)
        if header is None or header.kind != RecordKind.CHECKPOINT:
            raise damaged(segment.path, offset, "the checkpoint of the oldest segment is damaged")
        self.batch = header.batch - 1
        marks = self._open(segment, image)
        if marks is None:
            raise damaged(segment.path, offset, "the checkpoint of the oldest segment is damaged")
        self.marks = Marks(marks)
        # What the checkpoint counts but no segment holds any more: absent, from the next on.
        self.tails = {mark.group: _Tail(mark.last + 1) for mark in marks}

    def go_on(self, segment: Segment, image: bytes) -> bool:
        """Go on into the next segment; return False when its opening is not whole."""
        marks = self._open(segment, image)
        if marks is None:
            return False
        known = self.marks.groups
        for mark in marks:
            mine = known.get(mark.group)
            if mine is None or _identity(mine) != _identity(mark):
                raise damaged(segment.path, 0, "the checkpoint contradicts the log before it")
            mine.low_water = max(mine.low_water, mark.low_water)
        if len(marks) != len(known):
            raise damaged(segment.path, 0, "the checkpoint contradicts the log before it")
        return True

    def _open(self, segment: Segment, image: bytes) -> list[GroupMark] | None:
        """Read preamble and checkpoint; return the marks, or None when they are not whole."""
        preamble = _read_preamble(segment, image)
        if preamble is None:
            return None
        if (preamble.salt, preamble.sequence) != (self.salt, segment.sequence):
            raise damaged(segment.path, 0, "the segment belongs to another log or another place")
        offset = records.PREAMBLE_BYTES
        header = records.read_header(image, offset, self.salt)
        if header is None or header.batch != self.batch + 1:
            return None
        body = records.read_body(image, offset, header)
        if body is None:
            return None
        if preamble.chain != self.chain:
            raise damaged(segment.path, 0, "the segment does not continue the one before it")
        marks = self._decode_checkpoint(segment, offset, header, body)
        self.chain = header.chain
        self.last_record = 0
        segment.end = offset + records.record_bytes(body)
        return marks

    def _decode_checkpoint(
        self, segment: Segment, offset: int, header: Header, body: bytes
    ) -> list[GroupMark]:
        if header.kind != RecordKind.CHECKPOINT or not header.follows(self.chain):
            raise damaged(segment.path, offset, "the checkpoint does not follow its preamble")
        try:
            return records.decode_checkpoint(body)
        except msgspec.DecodeError as error:
            raise damaged(segment.path, offset, f"the checkpoint has no meaning: {error}") from None

    def read_batches(self, segment: Segment, image: bytes) -> None:
        """Apply the batches of a segment up to the first bytes that are not one."""
        opening = segment.end
        while (header := records.read_header(image, segment.end, self.salt)) is not None:
            if header.batch != self.batch + 1:
                return
            body = records.read_body(image, segment.end, header)
            if body is None:
                return
            self._apply(segment, header, body)
            if segment.end != opening:
                self.last_record = segment.end
            segment.end += records.record_bytes(body)

    def _apply(self, segment: Segment, header: Header, body: bytes) -> None:
        offset = segment.end
        if header.kind != RecordKind.BATCH or not header.follows(self.chain):
            raise damaged(segment.path, offset, "the record does not follow the one before it")
        try:
            for write in records.decode_batch(body):
                mark = self.marks.groups.get(write.group)
                tail = self.tails.setdefault(write.group, _Tail(1))
                tail.apply(write, mark if mark is not None else GroupMark(write.group))
                self.marks.apply((write,), segment.sequence)
        except (msgspec.DecodeError, ValueError) as error:
            raise damaged(segment.path, offset, f"the batch has no meaning: {error}") from None
        self.chain = header.chain
        self.batch = header.batch

    def groups(self, oldest: Segment) -> dict[int, RecoveredGroup]:
        """Return what the records add up to; raises LogDamaged when needed entries are gone."""
        recovered = {}
        for group, tail in sorted(self.tails.items()):
            mark = self.marks.groups[group]
            if tail.first > mark.snapshot[0] + 1:
                raise damaged(
                    oldest.path,
                    0,
                    f"entries {mark.snapshot[0] + 1} to {tail.first - 1} of group {group} are "
                    "missing: segments before this one were removed",
                )
            mark.low_water = max(mark.low_water, tail.first)
            state = mark.hard_state
            if state.commit > mark.last:
                state = msgspec.structs.replace(state, commit=mark.last)
            entries = tail.entries[mark.low_water - tail.first :]
            recovered[group] = RecoveredGroup(state, entries, mark.snapshot)
        return recovered


def recover(files: Files, directory: str) -> Recovered | None:
    """Read the log in `directory`, repair a torn tail durably; None when there is no log.

    Raises LogDamaged, ConfigurationError (a later format) and OSError.
    """
    segments = _open_segments(files, directory)
    if not segments:
        return None
    try:
        replay = _Replay()
        used = _replay_segments(replay, segments)
        groups = replay.groups(segments[0])
        _repair(segments[used - 1], segments[used:], replay)
        spare = _keep_one(files, directory, segments[used:])
    except BaseException:
        for segment in segments:
            segment.file.close()
        raise
    return Recovered(
        segments=segments[:used],
        spare=spare,
        marks=replay.marks,
        groups=groups,
        salt=replay.salt,
        chain=replay.chain,
        batch=replay.batch,
    )


def _open_segments(files: Files, directory: str) -> list[Segment]:
    """Open all segments; raises LogDamaged when one is missing in the middle."""
    found = (sequence_of(name) for name in files.list(directory))
    sequences = sorted(sequence for sequence in found if sequence is not None)
    if sequences:
        for expected, sequence in enumerate(sequences, sequences[0]):
            if sequence != expected:
                raise damaged(segment_path(directory, expected), 0, "this segment is missing")
    segments = []
    for sequence in sequences:
        path = segment_path(directory, sequence)
        segments.append(Segment(path, sequence, files.open(path)))
    return segments


def _replay_segments(replay: _Replay, segments: Sequence[Segment]) -> int:
    """Replay what is whole and return how many segments are in use.

    Raises LogDamaged when a later batch stands behind what is not whole.
    """
    image = segments[0].image()
    replay.begin(segments[0], image)
    replay.read_batches(segments[0], image)
    used = 1
    for segment in segments[1:]:
        following = segment.image()
        if not replay.go_on(segment, following):
            break
        image = following
        replay.read_batches(segment, image)
        used += 1
    last = segments[used - 1]
    _refuse_later(replay, last, last, image)
    for segment in segments[used:]:
        _refuse_later(replay, last, segment, segment.image())
    return used


def _refuse_later(replay: _Replay, last: Segment, segment: Segment, image: bytes) -> None:
    """Raise LogDamaged when `segment` holds a batch after the one that is not whole."""
    start = last.end if segment is last else 0
    offset = records.find_later(image, start, replay.salt, replay.batch + 1)
    if offset is not None:
        raise damaged(
            last.path,
            last.end,
            f"batch {replay.batch + 1} is damaged or missing, for a later batch stands at "
            f"offset {offset} of {segment.path}",
        )


def _repair(last: Segment, behind: Sequence[Segment], replay: _Replay) -> None:
    """Zero what follows the last whole batch, and make that batch durable once more.

    Once more, because after a failed sync and a restart the bytes read may be in the page
    cache only, marked clean. Written again, they are dirty, and this sync counts.
    """
    _zero_behind(last, last.end)
    rest = last.file.read(replay.last_record, last.end - replay.last_record)
    last.file.write(replay.last_record, rest)
    last.file.sync()
    for segment in behind:
        if _zero_behind(segment, 0):
            segment.file.sync()


def _zero_behind(segment: Segment, start: int) -> int:
    """Zero what is not zero from `start` on, and return how many slices needed it."""
    written = 0
    for offset in range(start, segment.size, SLICE_BYTES):
        piece = segment.file.read(offset, SLICE_BYTES)
        used = len(piece.rstrip(b"\0"))
        if used:
            write_zeros(segment.file, offset, offset + used)
            written += 1
    return written


def _keep_one(files: Files, directory: str, behind: Sequence[Segment]) -> Segment | None:
    """Keep the first unused segment as the next one, and remove the others."""
    for segment in reversed(behind[1:]):
        segment.file.close()
        files.remove(segment.path)
        files.sync_directory(directory)
    return behind[0] if behind else None


def _read_preamble(segment: Segment, image: bytes) -> Preamble | None:
    preamble = records.read_preamble(image)
    if preamble is not None and preamble.format > records.FORMAT:
        raise ConfigurationError(
            f"{segment.path} has log format {preamble.format}, this release reads up to "
            f"{records.FORMAT}: start the release that wrote it, or a later one"
        )
    return preamble


def _identity(mark: GroupMark) -> tuple[HardState, tuple[int, int], int]:
    """Return the part of a mark that replay must arrive at by itself."""
    return mark.hard_state, mark.snapshot, mark.last


def damaged(path: str, offset: int, what: str) -> LogDamaged:
    """Return the error that names the place, what is wrong there, and the way out."""
    return LogDamaged(f"{path}, offset {offset}: {what}. {WAY_OUT}")

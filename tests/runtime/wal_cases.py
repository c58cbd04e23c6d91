"""What the tests of the log share: small entries, a small log, and its next start."""

from __future__ import annotations

from quorate.protocol.raft.messages import Entry, EntryKind
from quorate.runtime.wal import RecoveredGroup, Wal
from quorate.simulation.disk import VirtualFiles

DIRECTORY = "/data/wal"
SMALL = 2048


def entry(
    index: int, term: int = 1, data: bytes = b"", kind: EntryKind = EntryKind.NORMAL
) -> Entry:
    """An entry that holds its index, when nothing else."""
    return Entry(term, index, kind, data or b"%d" % index)


def entries(first: int, last: int, term: int = 1, data: bytes = b"") -> list[Entry]:
    return [entry(index, term, data) for index in range(first, last + 1)]


def open_wal(
    files: VirtualFiles, segment_bytes: int = SMALL
) -> tuple[Wal, dict[int, RecoveredGroup]]:
    return Wal.open(files, DIRECTORY, segment_bytes=segment_bytes, salt=77)


def reopened(files: VirtualFiles, segment_bytes: int = SMALL) -> dict[int, RecoveredGroup]:
    """What a program finds that starts after a power cut which lost all that was not synced."""
    wal, groups = open_wal(files.crash(lambda: False), segment_bytes)
    wal.close()
    return groups


def segments(files: VirtualFiles) -> list[str]:
    return [
        path
        for path in files.paths()
        if path.startswith(f"{DIRECTORY}/wal-") and path.endswith(".log") and "reserve" not in path
    ]

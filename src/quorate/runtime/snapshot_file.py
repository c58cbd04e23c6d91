"""One snapshot as a single file, under a name that its owner chose: a backup.

Law: under its name it is whole and was synced; what is unfinished has another name. Reading
never writes, so a backup may lie on a medium that can't be written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from google_crc32c import extend

from quorate.errors import ConfigurationError
from quorate.runtime import snapshot_format
from quorate.runtime.ports import Files
from quorate.runtime.sealed_file import unsealed
from quorate.runtime.snapshot_format import SnapshotMeta
from quorate.runtime.snapshots import disk_errors
from quorate.runtime.world import RealFile

_UNFINISHED = ".unfinished"


class SnapshotFile:
    """A snapshot file that is being written. Use it as a context manager.

    Without `commit` nothing stays of it. An older file of that name is replaced by `commit`
    and not before.
    """

    def __init__(self, files: Files, path: str, meta: SnapshotMeta) -> None:
        self._files = files
        self._path = path
        self._unfinished = f"{path}{_UNFINISHED}-{os.getpid()}"
        self._offset = 0
        self._body_bytes = 0
        self._checksum = 0
        self._committed = False
        with disk_errors(path):
            self._file = files.create(self._unfinished)
        self._append(snapshot_format.encode_header(meta))

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._offset

    def write(self, chunk: bytes) -> None:
        """Add a chunk, at most 64 MiB; raises DiskFull, StorageFailed."""
        self._append(snapshot_format.encode_chunk(chunk))
        self._body_bytes += len(chunk)

    def commit(self) -> None:
        """Make the file durable under its name; raises DiskFull, StorageFailed."""
        self._append(snapshot_format.encode_footer(self._body_bytes, self._checksum))
        with disk_errors(self._path):
            self._file.sync()
            self._files.rename(self._unfinished, self._path)
            self._files.sync_directory(str(Path(self._path).parent))
        self._committed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self._committed:
            with disk_errors(self._path):
                self._files.remove(self._unfinished)

    def _append(self, data: bytes) -> None:
        with disk_errors(self._path):
            self._file.write(self._offset, data)
        self._offset += len(data)
        self._checksum = extend(self._checksum, data)


def verify_file(path: str) -> SnapshotMeta:
    """Read a whole file and return what it is.

    Raises SnapshotDamaged, and ConfigurationError when there is no such file or a later
    release wrote it.
    """
    with _opened(path) as file, disk_errors(path):
        return snapshot_format.verify(unsealed(file, path), path)


def chunks_of(path: str) -> Iterator[bytes]:
    """Yield the chunks of a file, each verified; raises what `verify_file` does."""
    with _opened(path) as file, disk_errors(path):
        for piece in snapshot_format.read_verified(unsealed(file, path), path):
            if not isinstance(piece, SnapshotMeta):
                yield piece


@contextmanager
def _opened(path: str) -> Iterator[RealFile]:
    try:
        file = RealFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise ConfigurationError(f"{path} can't be opened: {error.strerror}") from error
    try:
        yield file
    finally:
        file.close()

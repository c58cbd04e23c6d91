"""Snapshot files of one group: written aside, checked whole, then given their name.

Law: a file with a snapshot's name is complete and was synced before it got that name. What
it holds is opaque here; `snapshot_format.py` knows the bytes. Peers send the file as it is,
so a snapshot that was received is byte for byte the one that was written.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import msgspec
from google_crc32c import extend

from quorate.errors import DiskFull, SnapshotDamaged, StorageError, StorageFailed
from quorate.runtime import snapshot_format
from quorate.runtime.ports import File, Files
from quorate.runtime.snapshot_format import SnapshotMeta, damaged, without_checksum

__all__ = ["SnapshotMeta", "SnapshotReceiver", "SnapshotStore", "SnapshotWriter"]

SYNC_BYTES = 2 * 1024 * 1024
"""A snapshot is synced in pieces: the log's own syncs would wait behind all of it at once."""

_SUFFIX = ".snap"
_WRITING = ".writing"
_RECEIVING = ".receiving"


class SnapshotWriter:
    """A snapshot that is being written. Made by `SnapshotStore.begin`."""

    def __init__(self, store: SnapshotStore, meta: SnapshotMeta, path: str) -> None:
        self._store = store
        self._meta = meta
        self._path = path
        header = snapshot_format.encode_header(meta)
        with disk_errors(path):
            self._file = store.files.create(path)
        self._offset = 0
        self._synced = 0
        self._body_bytes = 0
        self._checksum = 0
        self._append(header)

    def write(self, chunk: bytes) -> None:
        """Add a chunk, at most 64 MiB; an empty one adds nothing. Raises DiskFull."""
        if chunk:
            self._append(snapshot_format.encode_chunk(chunk))
            self._body_bytes += len(chunk)
            if self._offset - self._synced >= SYNC_BYTES:
                self._synced = self._offset
                with disk_errors(self._path):
                    self._file.sync()

    def commit(self) -> SnapshotMeta:
        """Make the snapshot durable under its name; return it with size and checksum.

        Raises DiskFull before the sync, StorageFailed from then on.
        """
        checksum = self._checksum
        self._append(snapshot_format.encode_footer(self._body_bytes, checksum))
        meta = msgspec.structs.replace(self._meta, size=self._offset, checksum=checksum)
        self._store.publish(self._file, self._path, meta)
        return meta

    def abort(self) -> None:
        """Throw the unfinished snapshot away."""
        self._file.close()
        with disk_errors(self._path):
            self._store.files.remove(self._path)

    def _append(self, data: bytes) -> None:
        try:
            with disk_errors(self._path):
                self._file.write(self._offset, data)
        except StorageError:
            self.abort()
            raise
        self._offset += len(data)
        self._checksum = extend(self._checksum, data)


class SnapshotReceiver:
    """A snapshot that comes from a peer. Made by `SnapshotStore.receive`."""

    def __init__(self, store: SnapshotStore, meta: SnapshotMeta, path: str) -> None:
        self._store = store
        self._meta = meta
        self._path = path
        with disk_errors(path):
            if store.files.exists(path):
                self._file = store.files.open(path)
                self._offset = snapshot_format.verified_prefix(self._file, path, meta)
            else:
                self._file = store.files.create(path)
                self._offset = 0

    @property
    def offset(self) -> int:
        """How many bytes are held: where the peer goes on."""
        return self._offset

    def write(self, offset: int, data: bytes) -> int:
        """Add bytes that stand at `offset` of the file; return the offset held then.

        Bytes held already are passed over, and bytes past a gap are ignored: the answer
        tells the peer where to go on. Raises SnapshotDamaged past the announced size,
        DiskFull, StorageFailed.
        """
        if offset + len(data) > self._meta.size:
            raise SnapshotDamaged(
                f"a peer sent bytes past the end of the snapshot at index {self._meta.index}, "
                f"which has {self._meta.size}: receive it again"
            )
        if offset <= self._offset < offset + len(data):
            fresh = data[self._offset - offset :]
            with disk_errors(self._path):
                self._file.write(self._offset, fresh)
            self._offset += len(fresh)
        return self._offset

    def commit(self) -> SnapshotMeta:
        """Verify every checksum, and make the snapshot durable under its name.

        Raises SnapshotDamaged, and forgets what was received then; StorageFailed.
        """
        try:
            if self._offset != self._meta.size:
                raise damaged(self._path, f"{self._offset} of {self._meta.size} bytes came")
            with disk_errors(self._path):
                self._file.truncate(self._meta.size)
                if snapshot_format.verify(self._file, self._path) != self._meta:
                    raise damaged(self._path, "it is not the snapshot that was announced")
        except SnapshotDamaged:
            self.abort()
            raise
        self._store.publish(self._file, self._path, self._meta)
        return self._meta

    def abort(self) -> None:
        """Throw away what was received."""
        self._file.close()
        with disk_errors(self._path):
            self._store.files.remove(self._path)

    def close(self) -> None:
        """Stop for now; what was received is gone on from later."""
        self._file.close()


class SnapshotStore:
    """The snapshots of one group in one directory. Blocking; for one thread at a time."""

    def __init__(self, files: Files, directory: str) -> None:
        """Open the directory, made when absent, and remove unfinished writes of our own.

        A partly received snapshot stays, so that `receive` can go on with it.
        """
        self.files = files
        self.damaged: list[str] = []
        """Paths of the snapshots that were found damaged, in the order found."""
        self._directory = directory
        self._verified: dict[str, SnapshotMeta] = {}
        with disk_errors(directory):
            files.make_directory(directory)
            for name in files.list(directory):
                if name.endswith(_WRITING):
                    files.remove(f"{directory}/{name}")

    def begin(self, meta: SnapshotMeta) -> SnapshotWriter:
        """Begin to write a snapshot; raises DiskFull, StorageFailed."""
        meta = without_checksum(meta)
        return SnapshotWriter(self, meta, self._path(meta) + _WRITING)

    def receive(self, meta: SnapshotMeta) -> SnapshotReceiver:
        """Begin to receive the snapshot that a peer announced, or go on with it.

        What was received before of any other snapshot is thrown away.
        """
        name = f"{_stem(meta)}-{meta.size:x}-{meta.checksum:08x}{_RECEIVING}"
        with disk_errors(self._directory):
            for other in self.files.list(self._directory):
                if other.endswith(_RECEIVING) and other != name:
                    self.files.remove(f"{self._directory}/{other}")
        return SnapshotReceiver(self, meta, f"{self._directory}/{name}")

    def latest(self) -> SnapshotMeta | None:
        """Return the newest whole snapshot, or None when there is none.

        Every byte of it is verified the first time. A damaged one is passed over and named
        in `damaged`.
        """
        return next(self._whole_ones(), None)

    def read_chunks(self, meta: SnapshotMeta) -> Iterator[bytes]:
        """Yield the chunks of a snapshot, each verified before it is given.

        Raises SnapshotDamaged, at the latest after the last chunk: use nothing of it before
        the iterator has ended. `latest` passes the snapshot over from then on.
        """
        path = self._path(meta)
        with self._opened(meta) as file, disk_errors(path):
            try:
                for piece in snapshot_format.read_verified(file, path):
                    if not isinstance(piece, SnapshotMeta):
                        yield piece
                    elif piece != meta:
                        raise damaged(path, "it is another snapshot than the one asked for")
            except SnapshotDamaged:
                self._distrust(path)
                raise

    def read_raw(self, meta: SnapshotMeta, offset: int, size: int) -> bytes:
        """Return up to `size` bytes of the file at `offset`, to send them to a peer.

        Not verified here: the receiver verifies. Raises StorageError when the snapshot is
        no longer kept.
        """
        with self._opened(meta) as file, disk_errors(self._path(meta)):
            return file.read(offset, size)

    def prune(self, keep: int = 2) -> None:
        """Remove all snapshots but the newest `keep` whole ones; nothing when none is whole."""
        kept = {self._path(meta) for meta in islice(self._whole_ones(), keep)}
        if not kept:
            return
        with disk_errors(self._directory):
            for path in self._paths():
                if path not in kept:
                    self.files.remove(path)
                    self._verified.pop(path, None)
            self.files.sync_directory(self._directory)

    def publish(self, file: File, path: str, meta: SnapshotMeta) -> None:
        """Sync a finished file and give it its name; closes it. For writer and receiver."""
        target = self._path(meta)
        try:
            file.sync()
            self.files.rename(path, target)
            self.files.sync_directory(self._directory)
        except OSError as error:
            raise StorageFailed(f"{path} could not be made durable: {error}") from error
        finally:
            file.close()
        self._verified[target] = meta
        if target in self.damaged:
            self.damaged.remove(target)

    def _whole_ones(self) -> Iterator[SnapshotMeta]:
        """Yield the whole snapshots, newest first, each verified once in this store's life."""
        for path in self._paths():
            meta = self._verified.get(path)
            if meta is None and path not in self.damaged:
                try:
                    with disk_errors(path), _closing(self.files.open(path)) as file:
                        meta = self._verified[path] = snapshot_format.verify(file, path)
                    if self._path(meta) != path:
                        raise damaged(path, "its name is not its own")
                except SnapshotDamaged:
                    self._distrust(path)
                    continue
            if meta is not None:
                yield meta

    def _paths(self) -> list[str]:
        """Return the paths of all snapshots, newest first."""
        with disk_errors(self._directory):
            names = self.files.list(self._directory)
        return [f"{self._directory}/{name}" for name in reversed(names) if name.endswith(_SUFFIX)]

    def _distrust(self, path: str) -> None:
        self._verified.pop(path, None)
        if path not in self.damaged:
            self.damaged.append(path)

    def _path(self, meta: SnapshotMeta) -> str:
        return f"{self._directory}/{_stem(meta)}{_SUFFIX}"

    @contextmanager
    def _opened(self, meta: SnapshotMeta) -> Iterator[File]:
        path = self._path(meta)
        try:
            with disk_errors(path):
                file = self.files.open(path)
        except StorageFailed as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise StorageError(f"{path} is no longer kept: ask for the latest") from error
            raise
        with _closing(file):
            yield file


@contextmanager
def disk_errors(path: str) -> Iterator[None]:
    """Turn an OSError into DiskFull or StorageFailed."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"no space left for {path}: the log keeps what it covers") from error
        raise StorageFailed(f"{path} could not be read or written: {error}") from error


@contextmanager
def _closing(file: File) -> Iterator[File]:
    try:
        yield file
    finally:
        file.close()


def _stem(meta: SnapshotMeta) -> str:
    return f"snap-{meta.index:016x}-{meta.term:016x}"

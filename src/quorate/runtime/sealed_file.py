"""Backups that came through etcd's API: padded to blocks, and sealed with their SHA-256.

That is how etcd's tools know a whole one. Law: what is inside is a snapshot file like any other,
and is read as one; a seal that is there must be right.
"""

from __future__ import annotations

import hashlib
from typing import Final

from quorate.runtime.snapshot_format import END_MAGIC, FOOTER_BYTES, Readable, damaged

BLOCK_BYTES: Final = 512
SEAL_BYTES: Final = 32
_PIECE_BYTES: Final = 1024 * 1024


def padding(size: int) -> bytes:
    """Return what fills the last block of a file of `size` bytes."""
    return bytes(-size % BLOCK_BYTES)


def unsealed(file: Readable, path: str) -> Readable:
    """Return what is inside the seal, or the file itself if it has none.

    Raises SnapshotDamaged when the seal does not fit what is before it.
    """
    size = file.size()
    if size % BLOCK_BYTES != SEAL_BYTES or size < BLOCK_BYTES:
        return file
    end = size - SEAL_BYTES
    begin = max(0, end - BLOCK_BYTES - FOOTER_BYTES)
    place = file.read(begin, end - begin).rfind(END_MAGIC)
    inside = begin + place + FOOTER_BYTES
    if place < 0 or inside > end:
        return file
    digest = hashlib.sha256()
    for offset in range(0, end, _PIECE_BYTES):
        digest.update(file.read(offset, min(_PIECE_BYTES, end - offset)))
    if digest.digest() != file.read(end, SEAL_BYTES):
        raise damaged(path, "its SHA-256 does not match what is before it")
    return _Part(file, inside)


class _Part:
    """The first bytes of a file."""

    def __init__(self, file: Readable, size: int) -> None:
        self._file = file
        self._size = size

    def read(self, offset: int, size: int) -> bytes:
        """Read up to `size` bytes at `offset`."""
        return self._file.read(offset, max(0, min(size, self._size - offset)))

    def size(self) -> int:
        """Return how many bytes there are."""
        return self._size

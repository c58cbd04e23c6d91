"""What stands in a snapshot file, byte by byte, and how to tell that it is whole.

Law: nothing here writes, renames or removes. A file is, little-endian:

    header   magic 8s · format u32 · metadata length u32 · metadata (msgpack) · crc u32
    chunk    length u32 (not 0) · crc u32 · bytes                              … repeated
    footer   magic 8s · body bytes u64 · checksum u32 · crc u32

`checksum` is the CRC32C of everything before the footer; together with index, term and
size it is the snapshot's identity.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

import msgspec
from google_crc32c import extend, value

from quorate.errors import ConfigurationError, SnapshotDamaged

MAGIC = b"QUORSNP\n"
END_MAGIC = b"QSNPEND\n"
FORMAT = 1
LARGEST_CHUNK = 64 * 1024 * 1024
LARGEST_METADATA = 1024 * 1024

_HEADER = struct.Struct("<8sII")
_NUMBER = struct.Struct("<I")
_CHUNK = struct.Struct("<II")
_FOOTER = struct.Struct("<8sQI")
FOOTER_BYTES = _FOOTER.size + _NUMBER.size


class Readable(Protocol):
    """What a snapshot is read from."""

    def read(self, offset: int, size: int) -> bytes:
        """Read up to `size` bytes at `offset`; shorter only at the end."""

    def size(self) -> int:
        """Return the size in bytes."""


class SnapshotMeta(msgspec.Struct, array_like=True, frozen=True):
    """Which snapshot this is. `size` and `checksum` are 0 until it is committed."""

    group: int
    index: int
    """The last log entry that the snapshot covers."""
    term: int
    configuration: bytes
    """The membership at `index`, opaque."""
    size: int = 0
    """Bytes of the whole file."""
    checksum: int = 0
    """CRC32C of all bytes before the footer."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SnapshotMeta)


def without_checksum(meta: SnapshotMeta) -> SnapshotMeta:
    """Return the part of the identity that is known before the bytes are."""
    return msgspec.structs.replace(meta, size=0, checksum=0)


def encode_header(meta: SnapshotMeta) -> bytes:
    """Encode the header; raises ValueError when the configuration is too large."""
    metadata = _encoder.encode(without_checksum(meta))
    if len(metadata) > LARGEST_METADATA:
        raise ValueError(f"snapshot metadata of {len(metadata)} bytes is too large")
    header = _HEADER.pack(MAGIC, FORMAT, len(metadata)) + metadata
    return header + _NUMBER.pack(value(header))


def encode_chunk(data: bytes) -> bytes:
    """Encode a chunk; raises ValueError when it is empty or over 64 MiB."""
    if not 0 < len(data) <= LARGEST_CHUNK:
        raise ValueError(f"a snapshot chunk has 1 to {LARGEST_CHUNK} bytes, not {len(data)}")
    return _CHUNK.pack(len(data), value(data)) + data


def encode_footer(body_bytes: int, checksum: int) -> bytes:
    """Encode the footer."""
    footer = _FOOTER.pack(END_MAGIC, body_bytes, checksum)
    return footer + _NUMBER.pack(value(footer))


def read_header(file: Readable, path: str) -> tuple[SnapshotMeta, int]:
    """Return the metadata and the offset of the first chunk.

    Raises SnapshotDamaged, and ConfigurationError for a later format.
    """
    start = file.read(0, _HEADER.size)
    if len(start) != _HEADER.size:
        raise damaged(path, "it ends within its header")
    magic, version, length = _HEADER.unpack(start)
    if magic != MAGIC or length > LARGEST_METADATA:
        raise damaged(path, "it does not begin like a snapshot")
    rest = file.read(_HEADER.size, length + _NUMBER.size)
    metadata = rest[:length]
    if rest[length:] != _NUMBER.pack(extend(value(start), metadata)):
        raise damaged(path, "its header does not match its checksum")
    if version > FORMAT:
        raise ConfigurationError(
            f"{path} has snapshot format {version}, this release reads up to {FORMAT}: start "
            "the release that wrote it, or a later one"
        )
    try:
        return _decoder.decode(metadata), _HEADER.size + len(rest)
    except msgspec.DecodeError as error:
        raise damaged(path, f"its metadata has no meaning: {error}") from None


def read_chunk(file: Readable, offset: int, end: int, path: str) -> bytes:
    """Return the chunk at `offset` with its 8-byte head; raises SnapshotDamaged.

    Chunks must not reach past `end`.
    """
    head = file.read(offset, min(_CHUNK.size, end - offset))
    if len(head) != _CHUNK.size:
        raise damaged(path, f"it ends within the chunk at offset {offset}")
    length, crc = _CHUNK.unpack(head)
    if not 0 < length <= min(LARGEST_CHUNK, end - offset - _CHUNK.size):
        raise damaged(path, f"the chunk at offset {offset} has no possible length")
    data = file.read(offset + _CHUNK.size, length)
    if len(data) != length or value(data) != crc:
        raise damaged(path, f"the chunk at offset {offset} does not match its checksum")
    return head + data


def read_verified(file: Readable, path: str) -> Iterator[bytes | SnapshotMeta]:
    """Yield the bytes of every chunk, verified, and at last the metadata with its checksum.

    Raises SnapshotDamaged: only the metadata at the end proves that the chunks were all.
    """
    meta, offset = read_header(file, path)
    size = file.size()
    end = size - FOOTER_BYTES
    checksum = value(file.read(0, offset))
    body_bytes = 0
    while offset < end:
        raw = read_chunk(file, offset, end, path)
        checksum = extend(checksum, raw)
        offset += len(raw)
        body_bytes += len(raw) - _CHUNK.size
        yield raw[_CHUNK.size :]
    if offset != end or file.read(end, FOOTER_BYTES) != encode_footer(body_bytes, checksum):
        raise damaged(path, "its footer does not match what is before it")
    yield msgspec.structs.replace(meta, size=size, checksum=checksum)


def verify(file: Readable, path: str) -> SnapshotMeta:
    """Read the whole file and return its metadata; raises SnapshotDamaged."""
    found = None
    for piece in read_verified(file, path):
        if isinstance(piece, SnapshotMeta):
            found = piece
    assert found is not None, "a reading that ends without an error ends with the metadata"
    return found


def verified_prefix(file: Readable, path: str, meta: SnapshotMeta) -> int:
    """Return how many bytes of a partly received snapshot provably arrived.

    The size of the file proves nothing after a crash; the checksums of its chunks do.
    """
    end = min(file.size(), meta.size - FOOTER_BYTES)
    offset = 0
    try:
        found, start = read_header(file, path)
        if found != without_checksum(meta) or start > end:
            return 0
        offset = start
        while offset < end:
            offset += len(read_chunk(file, offset, end, path))
    except SnapshotDamaged:
        pass  # whatever stands from here on did not arrive whole: it is asked for again
    return offset


def damaged(path: str, what: str) -> SnapshotDamaged:
    """Return the error that names the file, what is wrong, and the way out."""
    return SnapshotDamaged(
        f"{path}: {what}. Use another: an older one with the log, the leader's, or another backup"
    )

"""What stands in a segment, byte by byte. No file is touched here.

A segment is a preamble, a checkpoint record, and batch records, little-endian, each record
aligned to 8 bytes, zeros after the last:

    preamble   magic 8s · format u32 · salt u32 · sequence u64 · chain before u32 · crc u32
    record     marker 4s · head u32 · batch u64 · length u32 · body crc u32 · kind u32 ·
               chain u32 · body (msgpack) · zeros up to the next multiple of 8

- `head` is the CRC32C of the rest of the header, seeded with the log's salt, so that one
  header can be judged alone, wherever a scan finds it. The salt keeps bytes that a client
  stored, or another log's, from passing for a header of this log.
- `chain` is the CRC32C of batch, length, body crc and kind, seeded with the chain of the
  record before, so that no record can be left out, swapped or repeated. It crosses segments.
- One batch is one record: a batch is atomic because its checksum is. A checkpoint carries
  the number of the batch that is written together with it.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence

import msgspec
from google_crc32c import extend, value

from quorate.protocol.raft.messages import Entry, EntryKind, HardState

MAGIC = b"QUORWAL\n"
MARKER = b"\xa9qrc"
FORMAT = 1
ALIGNMENT = 8
LARGEST_BODY = 2**32 - 1

_PREAMBLE = struct.Struct("<8sIIQI")
_FIELDS = struct.Struct("<QIII")
_NUMBER = struct.Struct("<I")

PREAMBLE_BYTES = _PREAMBLE.size + _NUMBER.size
HEADER_BYTES = len(MARKER) + _NUMBER.size + _FIELDS.size + _NUMBER.size
_CHAIN_AT = 8 + _FIELDS.size


class RecordKind(enum.IntEnum):
    """What a record's body is."""

    CHECKPOINT = 1
    """A list of `GroupMark`: what earlier segments said that is no list of entries."""
    BATCH = 2
    """A list of `GroupWrite`."""


class GroupWrite(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One group's part of a batch; done in the order of truncation, snapshot, entries.

    - `entries` are contiguous. An entry at an index that is held replaces that one and all
      after it. The first may be at most one past the end.
    - `truncate_from`: the entries with this index and above are removed; 0 removes none.
    - `snapshot`: (index, term) of a durable snapshot. Past the end of the log it replaces
      the whole log: entries go on at its index plus one. Within the log nothing is removed;
      `Wal.release` does that.
    """

    group: int
    hard_state: HardState | None = None
    entries: Sequence[Entry] = ()
    truncate_from: int = 0
    snapshot: tuple[int, int] | None = None


class GroupMark(msgspec.Struct, array_like=True, gc=False):
    """Where one group stands: all that must outlive the segments that said so."""

    group: int
    hard_state: HardState = HardState()
    snapshot: tuple[int, int] = (0, 0)
    last: int = 0
    """Index of the last entry, or of the snapshot that replaced it."""
    low_water: int = 1
    """Entries below this index are not needed."""


class Preamble(msgspec.Struct, frozen=True):
    """The opening of a segment."""

    format: int
    salt: int
    sequence: int
    chain: int


class Header(msgspec.Struct, frozen=True, gc=False):
    """A record's header that matched its own checksum."""

    batch: int
    length: int
    body_crc: int
    kind: int
    chain: int
    fields: bytes
    """What the chain is made of."""

    def follows(self, chain: int) -> bool:
        """Tell whether this record was written right after the one that left `chain`."""
        return bool(extend(chain, self.fields) == self.chain)


_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(list[GroupWrite])
_checkpoint_decoder = msgspec.msgpack.Decoder(list[GroupMark])


def encode_batch(writes: Sequence[GroupWrite]) -> bytes:
    """Encode a batch's body; raises ValueError when it is too large for a record."""
    body = _encoder.encode(writes)
    if len(body) > LARGEST_BODY:
        raise ValueError(f"a batch of {len(body)} bytes does not fit a record: split it")
    return body


def decode_batch(body: bytes) -> list[GroupWrite]:
    """Decode a batch's body; raises msgspec.DecodeError."""
    return _batch_decoder.decode(body)


def encode_checkpoint(marks: Sequence[GroupMark]) -> bytes:
    """Encode a checkpoint's body."""
    return _encoder.encode(marks)


def decode_checkpoint(body: bytes) -> list[GroupMark]:
    """Decode a checkpoint's body; raises msgspec.DecodeError."""
    return _checkpoint_decoder.decode(body)


def is_essential(writes: Sequence[GroupWrite]) -> bool:
    """Tell whether a batch keeps the cluster alive but adds none of the users' data.

    Such a batch may use the reserve when the disk is full.
    """
    return all(entry.kind is not EntryKind.NORMAL for write in writes for entry in write.entries)


def encode_preamble(salt: int, sequence: int, chain: int) -> bytes:
    """Encode the opening of a segment; `chain` is what the record before it left."""
    preamble = _PREAMBLE.pack(MAGIC, FORMAT, salt, sequence, chain)
    return preamble + _NUMBER.pack(value(preamble))


def read_preamble(image: bytes) -> Preamble | None:
    """Return a segment's opening, or None when it does not match its checksum."""
    if len(image) < PREAMBLE_BYTES:
        return None
    magic, version, salt, sequence, chain = _PREAMBLE.unpack_from(image)
    (crc,) = _NUMBER.unpack_from(image, _PREAMBLE.size)
    if magic != MAGIC or value(image[: _PREAMBLE.size]) != crc:
        return None
    return Preamble(version, salt, sequence, chain)


def padded(length: int) -> int:
    """Round a length up to the alignment of records."""
    return -length % ALIGNMENT + length


def record_bytes(body: bytes) -> int:
    """Return how many bytes of a segment a record with this body takes."""
    return HEADER_BYTES + padded(len(body))


def encode_record(
    kind: RecordKind, batch: int, body: bytes, chain: int, salt: int
) -> tuple[bytes, int]:
    """Encode a record that follows `chain`; return its bytes and the chain it leaves."""
    fields = _FIELDS.pack(batch, len(body), value(body), kind)
    chain = extend(chain, fields)
    checked = fields + _NUMBER.pack(chain)
    head = _NUMBER.pack(extend(salt, checked))
    padding = bytes(-len(body) % ALIGNMENT)
    return b"".join((MARKER, head, checked, body, padding)), chain


def read_header(image: bytes, offset: int, salt: int) -> Header | None:
    """Return the header at `offset`, or None when there is no intact one of this log."""
    start = offset + 8
    end = offset + HEADER_BYTES
    if end > len(image) or not image.startswith(MARKER, offset):
        return None
    (head,) = _NUMBER.unpack_from(image, offset + 4)
    if extend(salt, image[start:end]) != head:
        return None
    batch, length, body_crc, kind = _FIELDS.unpack_from(image, start)
    (chain,) = _NUMBER.unpack_from(image, offset + _CHAIN_AT)
    return Header(batch, length, body_crc, kind, chain, image[start : start + _FIELDS.size])


def read_body(image: bytes, offset: int, header: Header) -> bytes | None:
    """Return the body of the record at `offset`, or None when it fails its checksum."""
    start = offset + HEADER_BYTES
    body = image[start : start + header.length]
    if len(body) != header.length or value(body) != header.body_crc:
        return None
    return body


def find_later(image: bytes, start: int, salt: int, batch: int) -> int | None:
    """Return the offset of an intact header of a batch later than `batch`, or None.

    Such a header proves that `batch` was durable once: the log writes a batch only after
    the one before was synced. The lengths in between are not trusted, so every marker at an
    aligned offset is looked at.
    """
    offset = image.find(MARKER, start)
    while offset >= 0:
        if offset % ALIGNMENT == 0:
            header = read_header(image, offset, salt)
            if header is not None and header.batch > batch:
                return offset
        offset = image.find(MARKER, offset + 1)
    return None

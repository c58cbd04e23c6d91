"""Frames: a length (u32, big endian), then that many bytes.

Law: pure. However the bytes of a stream were cut, the same frames come out, each one exactly
once, and nothing but `FrameInvalid` is ever raised. A length is judged before a single byte
of its payload is kept, so the limit bounds the memory that the other side can take.
"""

from __future__ import annotations

import struct

from quorate.errors import FrameInvalid

HEADER = struct.Struct(">I")
HEADER_SIZE = HEADER.size

_pack = HEADER.pack
_unpack_from = HEADER.unpack_from


def encode_frame(payload: bytes) -> bytes:
    """Return the payload behind its length."""
    return _pack(len(payload)) + payload


def take_frame(buffer: bytearray, start: int, limit: int) -> bytes | None:
    """Return the payload of the frame at `start`, or None while it is not complete.

    Raises FrameInvalid as soon as the length shows that it never will be. For handshakes,
    where the bytes after the first frame are under another limit.
    """
    if len(buffer) - start < HEADER_SIZE:
        return None
    length: int = _unpack_from(buffer, start)[0]
    _judge(length, limit)
    begin = start + HEADER_SIZE
    if len(buffer) < begin + length:
        return None
    return bytes(buffer[begin : begin + length])


class FrameReader:
    """Cuts a stream into frames. After `FrameInvalid` the stream is lost; do not go on."""

    __slots__ = ("_held", "_limit", "_needed", "_pieces")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # A frame that is not complete waits as the pieces in which it came and is joined
        # once, so that a large frame in small pieces does not cost quadratic time.
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = HEADER_SIZE

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the payloads that they complete, in order.

        Raises FrameInvalid for a length of zero or over the limit.
        """
        if self._pieces:
            self._pieces.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return []
            data = b"".join(self._pieces)
            self._pieces.clear()
        limit = self._limit
        end = len(data)
        frames: list[bytes] = []
        position = 0
        needed = HEADER_SIZE
        while end - position >= HEADER_SIZE:
            length: int = _unpack_from(data, position)[0]
            if not 0 < length <= limit:
                _judge(length, limit)
            begin = position + HEADER_SIZE
            finish = begin + length
            if finish > end:
                needed = HEADER_SIZE + length
                break
            frames.append(data[begin:finish])
            position = finish
        if position < end:
            self._pieces.append(data[position:] if position else data)
            self._held = end - position
            self._needed = needed
        return frames


def _judge(length: int, limit: int) -> None:
    if length == 0:
        raise FrameInvalid(
            "a frame of length zero came: the other side does not speak our protocol"
        )
    if length > limit:
        raise FrameInvalid(
            f"a frame of {length} bytes came, over the limit of {limit}: the other side has "
            "another limit or does not speak our protocol"
        )

"""HTTP/2's frames: what they are called, how they are made, how their payloads are read.

Law: pure; the only error is `ConnectionFault`. Source: RFC 9113, sections 4 to 7.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER: Final = Struct(">IBI")
"""Length (24 bits) and type (8 bits) as one number, flags, stream."""
HEADER_BYTES: Final = 9
FRAME_BYTES: Final = 16_384
"""The largest payload that we take, and that anybody must take."""
LARGEST_FRAME_BYTES: Final = (1 << 24) - 1

# Plain numbers, since they are looked at for every frame.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

STREAM_MASK: Final = 0x7FFF_FFFF
_PRIORITY_BYTES: Final = 5
_SETTING: Final = Struct(">HI")
_NUMBER: Final = Struct(">I")
_TWO_NUMBERS: Final = Struct(">II")


class ErrorCode(enum.IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


class ConnectionFault(Exception):  # noqa: N818  a condition, like the others of the project
    """The other side broke the protocol: the connection ends, and is told why."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return HEADER.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings_frame(settings: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*setting) for setting in settings))


def window_frame(stream: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, _NUMBER.pack(increment))


def reset_frame(stream: int, code: ErrorCode) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, _NUMBER.pack(code))


def goaway_frame(last_stream: int, code: ErrorCode, text: str = "") -> bytes:
    """Return a GOAWAY frame; the text is for people."""
    payload = _TWO_NUMBERS.pack(last_stream, code) + text.encode("ascii", "replace")
    return frame(GOAWAY, 0, 0, payload)


def read_number(payload: bytes, kind: str) -> int:
    """Return the number that is all of a WINDOW_UPDATE or RST_STREAM; raises ConnectionFault."""
    if len(payload) != _NUMBER.size:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"{kind} with {len(payload)} bytes")
    number: int = _NUMBER.unpack(payload)[0]
    return number


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Return settings with their values, those without meaning too; raises ConnectionFault."""
    if len(payload) % _SETTING.size:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS with {len(payload)} bytes")
    settings: list[tuple[int, int]] = list(_SETTING.iter_unpack(payload))
    for setting, value in settings:
        if setting == ENABLE_PUSH and value > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")
        if setting == INITIAL_WINDOW_SIZE and value > STREAM_MASK:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {value} bytes")
        if setting == MAX_FRAME_SIZE and not FRAME_BYTES <= value <= LARGEST_FRAME_BYTES:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE is {value}")
    return settings


def without_padding(flags: int, payload: bytes) -> bytes:
    """Return what a DATA or HEADERS frame carries; raises ConnectionFault."""
    begin, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without a length")
        begin, end = 1, end - payload[0]
    if flags & WITH_PRIORITY:
        begin += _PRIORITY_BYTES
    if begin > end:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding over the end of its frame")
    return payload[begin:end]

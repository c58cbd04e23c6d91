"""gRPC's messages in the bytes of a stream: a flag, a length, the message.

Law: a length is judged before its message is kept, and a compressed message is inflated no
further than the limit. Errors have the words of grpc-go, which clients know.
Source: grpc, `doc/PROTOCOL-HTTP2.md`; grpc-go, `rpc_util.go`.
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import Final, NamedTuple

from quorate.gateways.grpc.codes import Code, RpcError

PREFIX: Final = Struct(">BI")
PREFIX_BYTES: Final = PREFIX.size
UNREADABLE: Final = "grpc: error unmarshalling request"
_COMPRESSED: Final = 1
_GZIP: Final = 16 + zlib.MAX_WBITS


class Message(NamedTuple):
    """A message as it came."""

    flag: int
    data: bytes


class MessageReader:
    """Cuts the bytes of one stream into messages."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        self._buffer = bytearray()
        self._limit = limit

    @property
    def held(self) -> int:
        """How many bytes of a message that is not complete there are."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """Take the next bytes; return the messages that they complete. Raises RpcError."""
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        position, end = 0, len(buffer)
        while end - position >= PREFIX_BYTES:
            flag, size = PREFIX.unpack_from(buffer, position)
            check_size(size, self._limit)
            begin = position + PREFIX_BYTES
            if begin + size > end:
                break
            position = begin + size
            messages.append(Message(flag, bytes(buffer[begin:position])))
        del buffer[:position]
        return messages


def only_message(data: bytes | bytearray, limit: int, *, gzip: bool) -> bytes:
    """Return the one message that `data` is; raises RpcError."""
    size = len(data) - PREFIX_BYTES
    if size < 0:
        raise RpcError(Code.INTERNAL, "unexpected EOF")
    flag, length = PREFIX.unpack_from(data)
    check_size(length, limit)
    if length != size:
        check_alone(size, length)
        raise RpcError(Code.INTERNAL, "unexpected EOF")
    message = bytes(data[PREFIX_BYTES:])
    return message if flag == 0 else plain(Message(flag, message), limit, gzip=gzip)


def plain(message: Message, limit: int, *, gzip: bool) -> bytes:
    """Return what a message says, where `gzip` is what the request declared. Raises RpcError."""
    if message.flag == 0:
        return message.data
    if message.flag != _COMPRESSED:
        text = f"grpc: received unexpected payload format {message.flag}"
        raise RpcError(Code.INTERNAL, text)
    if not gzip:
        text = "grpc: compressed flag set with identity or empty encoding"
        raise RpcError(Code.INTERNAL, text)
    return inflate(message.data, limit)


def check_size(size: int, limit: int) -> None:
    """Raise RpcError for a message over the limit."""
    if size > limit:
        text = f"grpc: received message larger than max ({size} vs. {limit})"
        raise RpcError(Code.RESOURCE_EXHAUSTED, text)


def check_alone(size: int, length: int) -> None:
    """Raise RpcError if more came than one message of that length."""
    if size > length:
        raise RpcError(Code.INTERNAL, "the call takes one request, and more were sent")


def inflate(data: bytes, limit: int) -> bytes:
    """Return what gzip made `data` of; raises RpcError, also when that is over the limit."""
    inflater = zlib.decompressobj(_GZIP)
    try:
        message = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        text = f"grpc: failed to decompress the received message: {error}"
        raise RpcError(Code.INTERNAL, text) from error
    if len(message) > limit:
        text = (
            "grpc: received message after decompression larger than max "
            f"({len(message)} vs. {limit})"
        )
        raise RpcError(Code.RESOURCE_EXHAUSTED, text)
    if not inflater.eof:
        text = "grpc: failed to decompress the received message: unexpected EOF"
        raise RpcError(Code.INTERNAL, text)
    return message

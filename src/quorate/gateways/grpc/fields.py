"""Header fields on the wire (HPACK), and the header blocks of answers.

Law: what we send never enters the peer's table, so a block is the same bytes on every
connection, and most are made once. Source: RFC 7541; grpc, `doc/PROTOCOL-HTTP2.md` for the
fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hpack import Decoder, HPACKError, OversizedHeaderListError

from quorate.gateways.grpc.codes import Code
from quorate.gateways.grpc.frames import ConnectionFault, ErrorCode

MESSAGE_BYTES: Final = 2048
"""How much of an error's message is sent: escaped it may be three times as long, and the usual
client takes 8 KiB of headers."""
NO_TABLE: Final = b"\x20"
"""Before a block: the sender uses a table of no size. Due when the peer has made its smaller."""
_UNESCAPED: Final = frozenset(range(0x20, 0x7F)) - {ord("%")}


class FieldReader:
    """Reads the header blocks of one connection, in their order."""

    def __init__(self, list_bytes: int) -> None:
        self._decoder = Decoder(list_bytes)

    def read(self, block: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Return the fields; raises ConnectionFault, after which no block can be read."""
        try:
            return self._decoder.decode(block, raw=True)
        except OversizedHeaderListError as error:
            text = "the header list is too large"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text) from error
        except HPACKError as error:
            text = "a header block cannot be read"
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, text) from error


def block(*fields: tuple[bytes, bytes]) -> bytes:
    """Return fields as they are sent; their names must be in lower case."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def ending(code: Code, message: str = "") -> bytes:
    """Return the block that ends a call."""
    status = (b"grpc-status", b"%d" % code)
    if not message:
        return block(status)
    return block(status, (b"grpc-message", escaped(message)))


def escaped(message: str) -> bytes:
    """Return a message as gRPC sends it: what is no printable ASCII becomes %XX of its UTF-8."""
    data = message.encode("utf-8", "replace")
    if len(data) > MESSAGE_BYTES:
        data = data[:MESSAGE_BYTES].decode("utf-8", "ignore").encode()
    return b"".join(b"%c" % byte if byte in _UNESCAPED else b"%%%02X" % byte for byte in data)


def _string(value: bytes) -> bytes:
    return _length(len(value)) + value


def _length(number: int) -> bytes:
    """Return an integer with a prefix of 7 bits (RFC 7541, section 5.1)."""
    if number < 0x7F:
        return bytes([number])
    parts = bytearray(b"\x7f")
    number -= 0x7F
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


ANSWER: Final = block(
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity,gzip"),
)
"""The block that begins every answer to a call."""
OK: Final = ending(Code.OK)
"""The block that ends most."""

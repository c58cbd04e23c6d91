"""The header blocks of answers.

Law: what we send never enters the peer's table, so a block is the same bytes on every
connection, and most are made once. Source: RFC 7541; grpc, `doc/PROTOCOL-HTTP2.md` for the
fields.
"""

from __future__ import annotations

from typing import Final

from quorate.gateways.grpc.codes import Code

MESSAGE_BYTES: Final = 2048
"""How much of an error's message is sent: escaped it may be three times as long, and the usual
client takes 8 KiB of headers."""
NO_TABLE: Final = b"\x20"
"""Before a block: the sender uses a table of no size. Due when the peer has made its smaller."""
_UNESCAPED: Final = frozenset(range(0x20, 0x7F)) - {ord("%")}


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

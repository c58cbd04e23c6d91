"""As much of protobuf as etcd's lock and election services need, for which aetcd has no stubs."""

from __future__ import annotations


def varint(number: int) -> bytes:
    """A number as it stands in a message."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def number_field(number: int, value: int) -> bytes:
    """A field that is a number."""
    return bytes([number << 3]) + varint(value)


def field_of(message: bytes, wanted: int) -> bytes:
    """Return a length-delimited field of a message that has only such fields."""
    at = 0
    while at < len(message):
        number, at = message[at] >> 3, at + 1
        size = shift = 0
        while True:
            byte, at = message[at], at + 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if number == wanted:
            return message[at : at + size]
        at += size
    raise ValueError(f"the answer has no field {wanted}")

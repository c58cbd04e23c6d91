"""JSON read into messages; the laws are those of `json_mapping`.

A table says of every field how its JSON is read. Each value is taken apart only when its field is
known, so that the words of a refusal can name what stood there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from quorate.codecs.etcd.go_base64 import decode_base64
from quorate.codecs.etcd.go_json import SPACES, check_one_value, next_value, quoted
from quorate.codecs.etcd.messages import MESSAGES, REPEATED
from quorate.errors import InvalidRequest

_Reader: TypeAlias = Callable[[bytes, int], Any]
"""Reads one value that lies within so many messages."""

MESSAGES_MAX: Final = 100
"""How many messages may lie in each other: as many as clients of protobuf can read."""
CAREFUL_BYTES_MAX: Final = 64 * 1024
"""What is larger, and not plain JSON or not what it should be, is refused in other words than
etcd's, and so is what has more after it: nobody may keep a server busy for the sake of words."""
_NULL: Final = b"null"
_QUOTE: Final = b'"'
_INTEGER: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,19})")
_UNSIGNED: Final = re.compile(rb"0|[1-9][0-9]{0,19}")
_KINDS: Final = {
    b'"': "string",
    b"{": "object",
    b"[": "array",
    b"t": "bool",
    b"f": "bool",
}
_BOOLEANS: Final = {b"true": True, b"false": False, _NULL: False}
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_string: Final = msgspec.json.Decoder(str).decode
_UNDECODED: Final = re.compile("[\udc80-\udcff]")
_ESCAPE: Final = re.compile(
    rb"\\(?:u(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<alone>[dD][89a-fA-F][0-9a-fA-F]{2}))|.)",
    re.DOTALL,
)


class _Numbers(NamedTuple):
    """The numbers of one type, and its name in Go."""

    pattern: re.Pattern[bytes]
    low: int
    high: int
    go_type: str


def _signed(bits: int, go_type: str) -> _Numbers:
    return _Numbers(_INTEGER, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, go_type)


def _unsigned(bits: int, go_type: str) -> _Numbers:
    return _Numbers(_UNSIGNED, 0, 2**bits - 1, go_type)


_BYTE: Final = _unsigned(8, "uint8")
_ENUM_NUMBERS: Final = _signed(32, "protoreflect.EnumNumber")


class _Field(NamedTuple):
    name: str
    camel: str
    read: _Reader


def read_message(kind: Any, body: bytes) -> Any:
    """Return the message that a body's first value is; raises InvalidRequest in etcd's words."""
    body = body.lstrip(SPACES)
    try:
        fields = _read_object(kind.DESCRIPTOR, body, 0) if body.startswith(b"{") else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = None
    return kind(**(_read_carefully(kind.DESCRIPTOR, body) if fields is None else fields))


def _read_carefully(descriptor: Descriptor, body: bytes) -> dict[str, Any]:
    """Read what is no JSON, has more after it, or text that is no Unicode."""
    if len(body) <= CAREFUL_BYTES_MAX:
        span = next_value(body)
        if span is None:
            return {}
        body = body[span[0] : span[1]]
    try:
        return _read_object(descriptor, _in_unicode(body), 0)
    except RecursionError as error:
        raise InvalidRequest("exceeded max depth") from error
    except msgspec.DecodeError as error:
        raise InvalidRequest(str(error)) from error


def _in_unicode(value: bytes) -> bytes:
    """Put the replacement character for every byte, and every escape, that is no character."""
    text = _UNDECODED.sub("\ufffd", value.decode(errors="surrogateescape"))
    return _ESCAPE.sub(_with_partner, text.encode())


def _with_partner(escape: re.Match[bytes]) -> bytes:
    return escape.group() if escape.group("alone") is None else rb"\ufffd"


def _read_object(descriptor: Descriptor, raw: bytes, depth: int) -> dict[str, Any]:
    if raw == _NULL:
        return {}
    if not raw.startswith(b"{"):
        raise _mismatch(_kind(raw), "map[string]json.RawMessage")
    if depth == MESSAGES_MAX:
        raise InvalidRequest("exceeded max depth")
    given = _object(raw)
    found = {}
    for name, camel, read in _FIELDS[descriptor]:
        value = given.get(camel)
        if value is None:
            value = given.get(name)
            if value is None:
                continue
        text = bytes(value)
        if text != _NULL:
            found[name] = read(text, depth + 1)
    return found


def _read_array(read: _Reader, raw: bytes, depth: int) -> list[Any]:
    if not raw.startswith(b"["):
        raise _mismatch(_kind(raw), "[]json.RawMessage")
    return [read(bytes(value), depth) for value in _array(raw)]


def _read_number(numbers: _Numbers, raw: bytes, _: int) -> int:
    if not raw.startswith(_QUOTE):
        return _number(numbers, raw)
    # What is in quotes is read as JSON once more.
    text = raw[1:-1]
    if numbers.pattern.fullmatch(text) is None:
        if len(text) > CAREFUL_BYTES_MAX:
            raise _mismatch("string", numbers.go_type)
        check_one_value(text)
        text = text.strip(SPACES)
    return _number(numbers, text)


def _number(numbers: _Numbers, text: bytes) -> int:
    if numbers.pattern.fullmatch(text) is None:
        if text == _NULL:
            return 0
        raise _mismatch(_KINDS.get(text[:1]) or f"number {text.decode()}", numbers.go_type)
    value = int(text)
    if not numbers.low <= value <= numbers.high:
        raise _mismatch(f"number {text.decode()}", numbers.go_type)
    return value


def _read_enum(values: Mapping[bytes, int], name: str, raw: bytes, _: int) -> int:
    if not raw.startswith(_QUOTE):
        return _number(_ENUM_NUMBERS, raw)
    number = values.get(raw[1:-1])
    if number is None:
        shown = raw if len(raw) <= CAREFUL_BYTES_MAX else b'"..."'
        raise InvalidRequest(f"unknown value {quoted(shown.decode())} for enum {name}")
    return number


def _read_boolean(raw: bytes, _: int) -> bool:
    value = _BOOLEANS.get(raw)
    if value is None:
        raise _mismatch(_kind(raw), "bool")
    return value


def _read_string(raw: bytes, _: int) -> str:
    if raw == _NULL:
        return ""
    if not raw.startswith(_QUOTE):
        raise _mismatch(_kind(raw), "string")
    return _string(raw)


def _read_bytes(raw: bytes, _: int) -> bytes:
    if raw.startswith(_QUOTE):
        return decode_base64(_string(raw).encode() if b"\\" in raw else raw[1:-1])
    if raw == _NULL:
        return b""
    if raw.startswith(b"["):
        return bytes(_number(_BYTE, bytes(each)) for each in _array(raw))
    raise _mismatch(_kind(raw), "[]uint8")


def _kind(raw: bytes) -> str:
    return _KINDS.get(raw[:1], "number")


def _mismatch(found: str, go_type: str) -> InvalidRequest:
    return InvalidRequest(f"json: cannot unmarshal {found} into Go value of type {go_type}")


_SCALARS: Final[Mapping[int, _Reader]] = {
    FieldDescriptor.TYPE_INT32: partial(_read_number, _signed(32, "int32")),
    FieldDescriptor.TYPE_INT64: partial(_read_number, _signed(64, "int64")),
    FieldDescriptor.TYPE_UINT32: partial(_read_number, _unsigned(32, "uint32")),
    FieldDescriptor.TYPE_UINT64: partial(_read_number, _unsigned(64, "uint64")),
    FieldDescriptor.TYPE_BOOL: _read_boolean,
    FieldDescriptor.TYPE_STRING: _read_string,
    FieldDescriptor.TYPE_BYTES: _read_bytes,
}


def _enum_reader(enum: EnumDescriptor) -> _Reader:
    values = {value.name.encode(): value.number for value in enum.values}
    return partial(_read_enum, values, enum.full_name)


def _reader(field: FieldDescriptor) -> _Reader:
    if field.message_type is not None:
        return partial(_read_object, field.message_type)
    if field.enum_type is not None:
        return _enum_reader(field.enum_type)
    return _SCALARS[field.type]


def _field(field: FieldDescriptor) -> _Field:
    read = _reader(field)
    if field.full_name in REPEATED:
        read = partial(_read_array, read)
    return _Field(field.name, field.camelcase_name, read)


_FIELDS: Final = {
    kind.DESCRIPTOR: tuple(map(_field, kind.DESCRIPTOR.fields)) for kind in MESSAGES.values()
}
"""The fields of every message in the order of their numbers."""

"""etcd's messages as JSON, as its HTTP gateway reads and writes them.

Written are a field's own name, 64-bit numbers as strings, bytes in base64, enums by name, and
nothing that has its default value. Read is more: names in camel case, numbers of either kind,
bytes as lists of numbers, enums by number; null is a field left out, what is unknown is skipped,
and of a union the last field counts, in the order of the numbers. A body may be empty, and
whatever follows its first value is not looked at.

What is refused is refused in the words of etcd, which are those of Go's `encoding/json`.

Source: the answers of etcd 3.5 (grpc-gateway 1.16, golang/protobuf 1.5); the tests ask both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from quorate.codecs.etcd.failures import Failure
from quorate.codecs.etcd.go_json import values
from quorate.codecs.etcd.json_reading import read_message
from quorate.codecs.etcd.messages import MESSAGES, REPEATED

_Writer: TypeAlias = Callable[[Any], Any]
"""Returns what of a value our encoder writes as etcd would."""

_encode: Final = msgspec.json.Encoder().encode
_SPECIAL: Final = re.compile("[\x00-\x1f<>&\u2028\u2029]")
_ESCAPES: Final = (
    {code: f"\\u{code:04x}" for code in (*range(0x20), *map(ord, "<>&\u2028\u2029"))}
    | {ord("\n"): r"\n", ord("\r"): r"\r", ord("\t"): r"\t"}
    | {ord('"'): r"\"", ord("\\"): r"\\"}
)
_HTTP_STATUSES: Final = {
    0: HTTPStatus.OK,
    1: HTTPStatus.REQUEST_TIMEOUT,
    3: HTTPStatus.BAD_REQUEST,
    4: HTTPStatus.GATEWAY_TIMEOUT,
    5: HTTPStatus.NOT_FOUND,
    6: HTTPStatus.CONFLICT,
    7: HTTPStatus.FORBIDDEN,
    8: HTTPStatus.TOO_MANY_REQUESTS,
    9: HTTPStatus.BAD_REQUEST,
    10: HTTPStatus.CONFLICT,
    11: HTTPStatus.BAD_REQUEST,
    12: HTTPStatus.NOT_IMPLEMENTED,
    14: HTTPStatus.SERVICE_UNAVAILABLE,
    16: HTTPStatus.UNAUTHORIZED,
}


def to_json(message: Message) -> bytes:
    """Return one of our messages as JSON, without any space in it."""
    return _encode(_write_message(message))


def from_json(kind: type[Message], body: bytes) -> Any:
    """Return the message of a kind that a body is.

    Raises InvalidRequest with what etcd says, of which the gRPC code is 3; but a call with a
    stream of requests has code 2 there.
    """
    return read_message(kind, body)


def each_from_json(kind: type[Message], body: bytes) -> Iterator[Any]:
    """Yield the messages of a body with one value after the other, until one is none.

    Raises InvalidRequest as `from_json`; a body that ends within a value raises Unfinished, which
    is one too.
    """
    for value in values(body):
        yield read_message(kind, value)


def stream_json(message: Message) -> bytes:
    """Return one response of a stream as etcd sends it."""
    return b'{"result":' + to_json(message) + b"}\n"


def error_json(failure: Failure) -> bytes:
    """Return the body of an answer that is an error."""
    text = _write_string(failure.text)
    return _encode({"error": text, "code": failure.code, "message": text})


def stream_error_json(failure: Failure) -> bytes:
    """Return what a stream of responses ends with when the call fails."""
    status = http_status(failure.code)
    error = {
        "grpc_code": failure.code,
        "http_code": status.value,
        "message": _write_string(failure.text),
        "http_status": status.phrase,
    }
    return _encode({"error": error})


def http_status(code: int) -> HTTPStatus:
    """Return the status of the answer to a call that ended with a code of gRPC's."""
    return _HTTP_STATUSES.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)


def _write_message(message: Message) -> dict[str, Any]:
    fields = {}
    for field, value in message.ListFields():
        name, write = _WRITERS[field]
        fields[name] = value if write is None else write(value)
    return fields


def _write_string(text: str) -> str | msgspec.Raw:
    if _SPECIAL.search(text) is None:
        return text
    return msgspec.Raw(f'"{text.translate(_ESCAPES)}"')


def _write_enum(names: Mapping[int, str], number: int) -> str | int:
    return names.get(number, number)


def _write_list(write: _Writer, items: Any) -> list[Any]:
    return [write(item) for item in items]


def _writer(field: FieldDescriptor) -> _Writer | None:
    """Return how one value of a field is written; None if as it is."""
    if field.message_type is not None:
        return _write_message
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return partial(_write_enum, names)
    return _SCALARS.get(field.type)


_SCALARS: Final[Mapping[int, _Writer]] = {
    FieldDescriptor.TYPE_INT64: str,
    FieldDescriptor.TYPE_UINT64: str,
    FieldDescriptor.TYPE_STRING: _write_string,
}


def _entry(field: FieldDescriptor) -> tuple[str, _Writer | None]:
    write = _writer(field)
    if field.full_name in REPEATED:
        write = list if write is None else partial(_write_list, write)
    return field.name, write


_WRITERS: Final = {
    field: _entry(field) for kind in MESSAGES.values() for field in kind.DESCRIPTOR.fields
}

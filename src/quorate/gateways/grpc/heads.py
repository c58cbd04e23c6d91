"""What opens a call: the header block of its request, understood.

A client sends nearly the same block with every call, once its table of fields has grown: a
number per field. Such a block means the same for as long as the table stays as it is, so the
`Head` that came of it is used again; only a block that may move the table ends that.

Sources: RFC 9113, section 8.3; grpc, `doc/PROTOCOL-HTTP2.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from quorate.gateways.grpc.codes import Code, RpcError
from quorate.gateways.grpc.decoding import MALFORMED, Field, FieldReader
from quorate.gateways.grpc.fields import ANSWER, block, ending
from quorate.gateways.grpc.methods import MethodTable, StreamMethod, UnaryMethod

KNOWN_HEADS: Final = 64
"""Heads that are kept for use again, by connection."""
_ENCODINGS: Final = {"": False, "identity": False, "gzip": True}
_NUMBERS: Final = bytes(range(0x80, 0xFF))
"""Fields that are one byte: a place in the table."""
_PSEUDO: Final = frozenset((":method", ":scheme", ":path", ":authority"))
_NEEDED: Final = frozenset((":method", ":scheme", ":path"))
_FORBIDDEN: Final = frozenset(
    ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade")
)
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class Head(msgspec.Struct, frozen=True):
    """A call that can begin."""

    path: str
    method: UnaryMethod | StreamMethod
    metadata: Mapping[str, str]
    timeout: float | None
    gzip: bool
    """Whether messages that say so are compressed."""


class Refusal(msgspec.Struct, frozen=True):
    """A request that is answered at once, by a block of headers alone."""

    block: bytes


class Malformed(msgspec.Struct, frozen=True):
    """No request at all."""


Opening: TypeAlias = Head | Refusal | Malformed


class HeadReader:
    """Reads the header blocks of one connection."""

    __slots__ = ("_fields", "_known", "_methods")

    def __init__(self, methods: MethodTable, list_bytes: int) -> None:
        self._methods = methods
        self._fields = FieldReader(list_bytes)
        self._known: dict[bytes, Opening] = {}

    def read(self, data: bytes) -> Opening:
        """Return what a block opens; raises ConnectionFault.

        Every block must pass here, in order, also one that is of no use.
        """
        opening = self._known.get(data)
        if opening is not None:
            return opening
        opening = understand(self._fields.read(data), self._methods)
        if data.translate(None, _NUMBERS) or len(self._known) >= KNOWN_HEADS:
            self._known.clear()
        else:
            self._known[data] = opening
        return opening


def understand(fields: Iterable[Field], methods: MethodTable) -> Opening:
    """Return what the fields of a request open."""
    pseudo: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for field in fields:
        name, value = field
        if name in _PSEUDO:
            if metadata or name in pseudo:
                return Malformed()
            pseudo[name] = value
        elif field is MALFORMED or name[0] == ":" or name in _FORBIDDEN:
            return Malformed()
        else:
            metadata[name] = f"{metadata[name]},{value}" if name in metadata else value
    if not pseudo.keys() >= _NEEDED or metadata.get("te", "trailers") != "trailers":
        return Malformed()
    return _judge(pseudo, metadata, methods)


def timeout_of(text: str) -> float:
    """Return the seconds of a `grpc-timeout`; raises RpcError."""
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise RpcError(Code.INTERNAL, f'malformed grpc-timeout: "{text}"')
    return int(match[1]) * _UNITS[match[2]]


def gzip_of(encoding: str) -> bool:
    """Return whether a `grpc-encoding` is gzip; raises RpcError if it is none that we read."""
    if encoding not in _ENCODINGS:
        text = f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"'
        raise RpcError(Code.UNIMPLEMENTED, text)
    return _ENCODINGS[encoding]


def _judge(pseudo: Mapping[str, str], metadata: dict[str, str], methods: MethodTable) -> Opening:
    if not _is_grpc(metadata.get("content-type", "")):
        return Refusal(block((b":status", b"415")))
    if pseudo[":method"] != "POST":
        return Refusal(block((b":status", b"405"), (b"allow", b"POST")))
    path = pseudo[":path"]
    try:
        method = methods.find(path)
        gzip = gzip_of(metadata.get("grpc-encoding", ""))
        timeout = timeout_of(metadata["grpc-timeout"]) if "grpc-timeout" in metadata else None
    except RpcError as error:
        return Refusal(ANSWER + ending(error.code, error.message))
    return Head(path, method, MappingProxyType(metadata), timeout, gzip)


def _is_grpc(content_type: str) -> bool:
    rest = content_type.lower().removeprefix("application/grpc")
    return rest != content_type.lower() and rest[:1] in {"", "+", ";"}

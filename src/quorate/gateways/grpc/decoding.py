"""Header blocks, read (HPACK).

Law: a field is understood once, when it enters the table, since most blocks are nothing but
places in the table. Whatever the bytes are, the only error is `ConnectionFault`, after which
no block of the connection can be read. Source: RFC 7541.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, NamedTuple, TypeAlias

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from quorate.gateways.grpc.frames import ConnectionFault, ErrorCode

Field: TypeAlias = tuple[str, str]
MALFORMED: Final[Field] = ("", "")
"""Stands for a field whose name or value HTTP/2 does not allow."""
TABLE_BYTES: Final = 4096
"""How large the table may be: what HTTP/2 has unless something else was said."""
_INDEXED: Final = 0x80
_INSERTED: Final = 0x40
_RESIZE: Final = 0x20
_LARGEST_SHIFT: Final = 28
_OVERHEAD: Final = 32
_NAME: Final = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
_NO_VALUE: Final = re.compile(rb"[\0\r\n]")


class _Entry(NamedTuple):
    field: Field
    name: bytes
    size: int


class FieldReader:
    """Reads the header blocks of one connection, in their order."""

    __slots__ = ("_bound", "_entries", "_limit", "_size")

    def __init__(self, list_bytes: int) -> None:
        self._limit = list_bytes
        self._entries: deque[_Entry] = deque()
        self._size = 0
        self._bound = TABLE_BYTES

    def read(self, block: bytes) -> list[Field]:
        """Return the fields; raises ConnectionFault."""
        try:
            return self._read(block)
        except (IndexError, HPACKError) as error:
            raise _broken("a header block cannot be read") from error

    def _read(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        left = self._limit
        position, end = 0, len(block)
        while position < end:
            first = block[position]
            if first >= _INDEXED:
                index, position = _integer(block, position, 0x7F)
                entry = self._entry(index)
            elif first >= _INSERTED:
                entry, position = self._literal(block, position, 0x3F)
                self._insert(entry)
            elif first >= _RESIZE:
                size, position = _integer(block, position, 0x1F)
                if fields or size > TABLE_BYTES:
                    raise _broken("the table of fields may not change so")
                self._bound = size
                self._evict(size)
                continue
            else:
                entry, position = self._literal(block, position, 0x0F)
            left -= entry.size
            if left < 0:
                text = "the header list is too large"
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text)
            fields.append(entry.field)
        return fields

    def _literal(self, block: bytes, position: int, mask: int) -> tuple[_Entry, int]:
        index, position = _integer(block, position, mask)
        if index:
            name = self._entry(index).name
        else:
            name, position = _string(block, position)
        value, position = _string(block, position)
        return _understood(name, value), position

    def _entry(self, index: int) -> _Entry:
        if index > len(_STATIC):
            return self._entries[index - len(_STATIC) - 1]
        if not index:
            raise _broken("a field is at no place of the table")
        return _STATIC[index - 1]

    def _insert(self, entry: _Entry) -> None:
        # One that is larger than the table empties it, and that is no error.
        self._evict(self._bound - entry.size)
        if entry.size <= self._bound:
            self._entries.appendleft(entry)
            self._size += entry.size

    def _evict(self, bound: int) -> None:
        entries = self._entries
        while entries and self._size > bound:
            self._size -= entries.pop().size


def _understood(name: bytes, value: bytes) -> _Entry:
    field = MALFORMED
    if _NAME.fullmatch(name) and not _NO_VALUE.search(value):
        field = (name.decode("ascii"), value.decode("latin-1"))
    return _Entry(field, name, _OVERHEAD + len(name) + len(value))


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """Return the number at a position, and where it ends (section 5.1)."""
    number = block[position] & mask
    position += 1
    if number < mask:
        return number, position
    shift = 0
    while shift <= _LARGEST_SHIFT:
        byte = block[position]
        position += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
    raise _broken("a number in a header block is too large")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    """Return the text at a position, and where it ends (section 5.2)."""
    is_coded = block[position] & 0x80
    length, position = _integer(block, position, 0x7F)
    end = position + length
    if end > len(block):
        raise _broken("a header block ends within a text")
    text = block[position:end]
    return (decode_huffman(text) if is_coded else text), end


def _broken(text: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.COMPRESSION_ERROR, text)


_STATIC: Final = tuple(_understood(name, value) for name, value in HeaderTable.STATIC_TABLE)

"""Jute, ZooKeeper's encoding: big-endian numbers, and lengths before what they count.

Source: ZooKeeper's `zookeeper-jute` (`BinaryOutputArchive`, `BinaryInputArchive`).
"""

from __future__ import annotations

import struct
from typing import Final

_INT: Final = struct.Struct(">i")
_LONG: Final = struct.Struct(">q")


class RecordError(ValueError):
    """The bytes are no record of this kind."""


def integer(value: int) -> bytes:
    """Encode a number of 32 bits."""
    return _INT.pack(value)


def long(value: int) -> bytes:
    """Encode a number of 64 bits."""
    return _LONG.pack(value)


def boolean(value: object) -> bytes:
    """Encode a truth."""
    return b"\x01" if value else b"\x00"


def buffer(value: bytes) -> bytes:
    """Encode bytes."""
    return _INT.pack(len(value)) + value


def text(value: str) -> bytes:
    """Encode text as UTF-8."""
    return buffer(value.encode())


class Reader:
    """Reads one record, from its beginning to its end. Raises RecordError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def integer(self) -> int:
        """Read a number of 32 bits."""
        value: int = self._unpack(_INT)[0]
        return value

    def long(self) -> int:
        """Read a number of 64 bits."""
        value: int = self._unpack(_LONG)[0]
        return value

    def boolean(self) -> bool:
        """Read a truth."""
        return self._take(1) != b"\x00"

    def buffer(self) -> bytes:
        """Read bytes; what is null there is empty here."""
        size = self.integer()
        return self._take(size) if size > 0 else b""

    def text(self) -> str:
        """Read text."""
        try:
            return self.buffer().decode()
        except UnicodeDecodeError as error:
            raise RecordError(f"a text is no UTF-8: {error}") from error

    def texts(self) -> list[str]:
        """Read a list of texts."""
        return [self.text() for _ in range(self.integer())]

    def unpack(self, form: struct.Struct) -> tuple[int, ...]:
        """Read fixed fields at once."""
        return self._unpack(form)

    def _unpack(self, form: struct.Struct) -> tuple[int, ...]:
        try:
            values: tuple[int, ...] = form.unpack_from(self._data, self._at)
        except struct.error as error:
            raise RecordError(f"a record ends early: {error}") from error
        self._at += form.size
        return values

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise RecordError(f"a record ends {end - len(self._data)} bytes early")
        taken = self._data[self._at : end]
        self._at = end
        return taken

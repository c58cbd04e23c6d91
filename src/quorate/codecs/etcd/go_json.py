"""Where a JSON value ends, and what is said of bytes that are none: as etcd does.

etcd reads JSON with Go's `encoding/json` and passes on what that says, so the words are Go's.
This is the careful reader, for bytes that a quick one has refused, and for several values one
after the other. It keeps a stack instead of calling itself, so that no nesting breaks it.

Source: the grammar of RFC 8259; the words from etcd's answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from quorate.errors import InvalidRequest

SPACES: Final = b" \t\r\n"
DEPTH_MAX: Final = 10_000
"""How many arrays and objects may lie in each other."""
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_STRING: Final = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_HEX: Final = re.compile(rb"[0-9a-fA-F]{0,4}")
_DIGITS: Final = re.compile(rb"[0-9]*")
_LITERALS: Final = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_OBJECT: Final = ord("{")
_ARRAY: Final = ord("[")
_CLOSED_BY: Final = {_OBJECT: ord("}"), _ARRAY: ord("]")}
_AFTER: Final = {_OBJECT: "after object key:value pair", _ARRAY: "after array element"}
_QUOTE: Final = ord('"')
_MINUS: Final = ord("-")
_SIGNS: Final = (ord("+"), _MINUS)
_EXPONENT: Final = (ord("e"), ord("E"))
_END: Final = -1
_SHORT_ESCAPES: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
}


class Unfinished(InvalidRequest):
    """The bytes end within a value: more of them may make it whole."""


def next_value(data: bytes, at: int = 0) -> tuple[int, int] | None:
    """Return where the first value from `at` on begins and ends; None if there is only space.

    What comes after it is not looked at. Raises Unfinished and InvalidRequest.
    """
    start = _skip(data, at)
    if start == len(data):
        return None
    return start, _value_end(data, start)


def values(data: bytes) -> Iterator[bytes]:
    """Yield one value after the other, until one is none. Raises as `next_value` does."""
    span = next_value(data)
    while span is not None:
        yield data[span[0] : span[1]]
        span = next_value(data, span[1])


def check_one_value(data: bytes) -> None:
    """Raise InvalidRequest unless the bytes are one value, with space around it at most."""
    try:
        # What the end cuts short is blamed on a space, as if one stood there.
        span = next_value(data + b" ")
    except Unfinished:
        span = None
    if span is None:
        raise InvalidRequest("unexpected end of JSON input")
    rest = _skip(data, span[1])
    if rest != len(data):
        raise _unexpected(data, rest, "after top-level value")


def quoted(text: str) -> str:
    """Return a text as Go's `%q` shows it."""
    return '"' + "".join(r"\"" if each == '"' else _shown(each) for each in text) + '"'


def _value_end(data: bytes, at: int) -> int:
    open_: list[int] = []
    while True:
        at = _skip(data, at)
        kind = _byte(data, at)
        if kind not in _CLOSED_BY:
            at = _scalar_end(data, at)
        else:
            open_.append(kind)
            if len(open_) > DEPTH_MAX:
                raise InvalidRequest("exceeded max depth")
            at = _skip(data, at + 1)
            if _byte(data, at) != _CLOSED_BY[kind]:
                at = _item_begin(data, at, kind)
                continue
        at = _close(data, at, open_)
        if not open_:
            return at
        if _byte(data, at) != ord(","):
            raise _unexpected(data, at, _AFTER[open_[-1]])
        at = _item_begin(data, at + 1, open_[-1])


def _close(data: bytes, at: int, open_: list[int]) -> int:
    """Leave everything that ends here; return where something goes on."""
    while open_:
        at = _skip(data, at)
        if _byte(data, at) != _CLOSED_BY[open_[-1]]:
            break
        open_.pop()
        at += 1
    return at


def _item_begin(data: bytes, at: int, kind: int) -> int:
    """Return where the next value of an array begins, or that of an object, after its key."""
    if kind == _ARRAY:
        return at
    at = _skip(data, at)
    if _byte(data, at) != _QUOTE:
        raise _unexpected(data, at, "looking for beginning of object key string")
    at = _skip(data, _string_end(data, at))
    if _byte(data, at) != ord(":"):
        raise _unexpected(data, at, "after object key")
    return at + 1


def _scalar_end(data: bytes, at: int) -> int:
    first = _byte(data, at)
    if first == _QUOTE:
        return _string_end(data, at)
    if first == _MINUS or _is_digit(first):
        return _number_end(data, at)
    literal = _LITERALS.get(first)
    if literal is None:
        raise _unexpected(data, at, "looking for beginning of value")
    for offset, expected in enumerate(literal):
        if _byte(data, at + offset) != expected:
            where = f"in literal {literal.decode()} (expecting {_quoted_byte(expected)})"
            raise _unexpected(data, at + offset, where)
    return at + len(literal)


def _string_end(data: bytes, at: int) -> int:
    at = _end_of(_STRING, data, at + 1)
    found = _byte(data, at)
    if found == _QUOTE:
        return at + 1
    if found != ord("\\"):
        raise _unexpected(data, at, "in string literal")
    if _byte(data, at + 1) != ord("u"):
        raise _unexpected(data, at + 1, "in string escape code")
    raise _unexpected(data, _end_of(_HEX, data, at + 2), r"in \u hexadecimal character escape")


def _number_end(data: bytes, at: int) -> int:
    if data[at] == _MINUS:
        at += 1
    at = at + 1 if _byte(data, at) == ord("0") else _digits_end(data, at, "in numeric literal")
    if _byte(data, at) == ord("."):
        at = _digits_end(data, at + 1, "after decimal point in numeric literal")
    if _byte(data, at) in _EXPONENT:
        at += 1
        if _byte(data, at) in _SIGNS:
            at += 1
        at = _digits_end(data, at, "in exponent of numeric literal")
    return at


def _digits_end(data: bytes, at: int, where: str) -> int:
    end = _end_of(_DIGITS, data, at)
    if end == at:
        raise _unexpected(data, at, where)
    return end


def _skip(data: bytes, at: int) -> int:
    return _end_of(_SPACE, data, at)


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at)
    return at if found is None else found.end()


def _byte(data: bytes, at: int) -> int:
    return data[at] if at < len(data) else _END


def _is_digit(byte: int) -> bool:
    return ord("0") <= byte <= ord("9")


def _unexpected(data: bytes, at: int, where: str) -> InvalidRequest:
    if at >= len(data):
        return Unfinished("unexpected EOF")
    return InvalidRequest(f"invalid character {_quoted_byte(data[at])} {where}")


def _quoted_byte(byte: int) -> str:
    return r"'\''" if byte == ord("'") else f"'{_shown(chr(byte))}'"


def _shown(character: str) -> str:
    code = ord(character)
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if character.isprintable():
        return character
    if code < ord(" "):
        return rf"\x{code:02x}"
    return rf"\u{code:04x}" if code < 0x10000 else rf"\U{code:08x}"

"""Base64 as etcd reads it, and which byte it blames.

The alphabet is the standard one and the padding is needed. Line breaks are skipped, and the bits
that pad the last byte may be anything.

Source: RFC 4648 section 4; what is accepted and blamed from the answers of etcd 3.5.
"""

from __future__ import annotations

import binascii
from typing import Final

from quorate.errors import InvalidRequest

_LINE_BREAKS: Final = b"\r\n"
_PADDING: Final = ord("=")
_ALPHABET: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def decode_base64(text: bytes) -> bytes:
    """Return the bytes that a text stands for; raises InvalidRequest."""
    padding = len(text) - len(text.rstrip(b"="))
    if padding <= 2 and len(text) % 4 == 0:
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            pass  # It may have line breaks.
    fault = _fault(text)
    if fault is not None:
        raise InvalidRequest(f"illegal base64 data at input byte {fault}")
    return binascii.a2b_base64(text.translate(None, _LINE_BREAKS))


def _fault(text: bytes) -> int | None:
    """Return the place that is blamed; None when there is nothing wrong."""
    digits = 0
    for place, byte in enumerate(text):
        if byte in _ALPHABET:
            digits += 1
        elif byte == _PADDING and digits % 4 >= 2:
            return _fault_after(text, place, digits % 4)
        elif byte not in _LINE_BREAKS:
            return place
    missing = digits % 4
    return len(text) - missing if missing else None


def _fault_after(text: bytes, place: int, digits: int) -> int | None:
    """Return what is wrong with the padding that begins at a place, after two or three digits."""
    at = _skip(text, place + 1)
    if digits == 2:
        if at == len(text):
            return at
        if text[at] != _PADDING:
            return at - 1
        at = _skip(text, at + 1)
    return at if at < len(text) else None


def _skip(text: bytes, at: int) -> int:
    while at < len(text) and text[at] in _LINE_BREAKS:
        at += 1
    return at

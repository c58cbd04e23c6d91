"""Base64: what etcd takes, and the byte it blames."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.codecs.etcd.go_base64 import decode_base64
from quorate.errors import InvalidRequest


@given(st.binary(), st.data())
def test_line_breaks_anywhere_change_nothing(value: bytes, data: st.DataObject) -> None:
    text = base64.b64encode(value)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from([b"\r", b"\n"])) + text[at:]
    assert decode_base64(text) == value


@given(st.text("AZaz09+/=\n_! ", max_size=12).map(str.encode))
def test_whatever_is_taken_is_what_base64_says(text: bytes) -> None:
    try:
        value = decode_base64(text)
    except InvalidRequest as error:
        place = int(str(error).removeprefix("illegal base64 data at input byte "))
        assert 0 <= place <= len(text)
    else:
        assert value == base64.b64decode(text.replace(b"\n", b""), validate=True)


def test_the_bits_that_pad_the_last_byte_may_be_anything() -> None:
    assert decode_base64(b"Zh==") == decode_base64(b"Zg==") == b"f"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"Z", 0),
        (b"Zg", 0),
        (b"Zm9vZ", 4),
        (b"Zg=", 3),
        (b"Zm9v=", 4),
        (b"Zm9v====", 4),
        (b"=Zg=", 0),
        (b"Zg=a", 2),
        (b"Zg=\na", 3),
        (b"Zg==Zg==", 4),
        (b"Zm8=\nZ", 5),
        (b"Zm 9", 2),
        (b"_-_-", 0),
        (b"Zm9v\xff", 4),
    ],
)
def test_the_byte_that_is_blamed(text: bytes, place: int) -> None:
    with pytest.raises(InvalidRequest, match=f"^illegal base64 data at input byte {place}$"):
        decode_base64(text)

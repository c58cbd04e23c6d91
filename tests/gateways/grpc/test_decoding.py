"""Header blocks mean to us what they mean to the library hpack."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HeaderTuple, HPACKError, NeverIndexedHeaderTuple
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quorate.gateways.grpc.decoding import MALFORMED, TABLE_BYTES, FieldReader
from quorate.gateways.grpc.frames import ConnectionFault, ErrorCode

LIMIT = 65_536
NAMES = st.sampled_from((b"a", b"token", b":path", b"grpc-timeout", b"x" * 500))
VALUES = st.one_of(
    st.binary(max_size=30).map(lambda value: value.translate(None, b"\0\r\n")),
    st.sampled_from((b"", b"again", b"y" * 1500, b"z" * 5000)),
)
FIELDS = st.lists(
    st.tuples(NAMES, VALUES, st.booleans()).map(
        lambda field: (NeverIndexedHeaderTuple if field[2] else HeaderTuple)(field[0], field[1])
    ),
    max_size=6,
)
STEPS = st.tuples(FIELDS, st.booleans(), st.none() | st.sampled_from((0, 50, 300, 4096)))


@settings(deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_what_others_write_is_read(
    steps: list[tuple[list[HeaderTuple], bool, int | None]],
) -> None:
    encoder = Encoder()
    reader = FieldReader(LIMIT)
    for fields, huffman, table in steps:
        if table is not None:
            encoder.header_table_size = table
        got = reader.read(encoder.encode(fields, huffman=huffman))
        assert got == [(name.decode(), value.decode("latin-1")) for name, value in fields]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5))
@example([b"\x3f\xe1\x1f", b"\x20\x3f\xe1\x1f"])
@example([b"\x40\x01a\x01b\xbe\xbf"])
@example([b"\x40\x01a\x01b\x20", b"\x80", b"\xff\x80\x80\x80\x80\x01"])
@example([b"\x40\x01a\x84\xff\xff\xff\xff"])
def test_whatever_the_bytes_are_both_say_the_same(blocks: list[bytes]) -> None:
    reader, other = FieldReader(LIMIT), Decoder(LIMIT)
    other.max_allowed_table_size = TABLE_BYTES
    for block in blocks:
        try:
            expected = list(other.decode(block, raw=True))
        except HPACKError:
            with pytest.raises(ConnectionFault):
                reader.read(block)
            return
        got = reader.read(block)
        assert len(got) == len(expected)
        for field, (name, value) in zip(got, expected, strict=True):
            if field != MALFORMED:
                assert field == (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Upper", b"x"),
        (b"", b"x"),
        (b":", b"x"),
        (b"a:b", b"x"),
        (b"a b", b"x"),
        (b"a\xff", b"x"),
        (b"a", b"x\r\ny"),
        (b"a", b"\0"),
    ],
)
def test_what_http2_does_not_allow_is_marked(name: bytes, value: bytes) -> None:
    block = Encoder().encode([(name, value), (b"good", b"x")])
    assert FieldReader(LIMIT).read(block) == [MALFORMED, ("good", "x")]


@pytest.mark.parametrize(
    "block",
    [
        b"\x3f\xe2\x1f",
        b"\x82\x20",
        b"\x80",
        b"\xbe",
        b"\xff",
        b"\xff" + b"\x80" * 20,
        b"\xff" + b"\x80" * 4 + b"\xff" * 2,
        b"\x40",
        b"\x40\x01a",
        b"\x40\x02a",
        b"\x7e\x01a",
        b"\x40\x01a\x84\xff\xff\xff\xff",
    ],
)
def test_what_is_no_block_is_refused(block: bytes) -> None:
    with pytest.raises(ConnectionFault) as raised:
        FieldReader(LIMIT).read(block)
    assert raised.value.code is ErrorCode.COMPRESSION_ERROR


def test_a_list_over_the_limit_is_told_from_one_that_is_broken() -> None:
    block = Encoder().encode([(b"a", b"x" * 100)])
    assert FieldReader(133).read(block) == [("a", "x" * 100)]
    with pytest.raises(ConnectionFault) as raised:
        FieldReader(132).read(block)
    assert raised.value.code is ErrorCode.ENHANCE_YOUR_CALM
    with pytest.raises(ConnectionFault) as raised:
        FieldReader(LIMIT).read(block[:-1])
    assert raised.value.code is ErrorCode.COMPRESSION_ERROR

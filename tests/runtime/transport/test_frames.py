"""However a stream is cut, the same frames come out, or FrameInvalid."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import ConfigurationError, FrameInvalid
from quorate.runtime.transport.address import join_address, split_address
from quorate.runtime.transport.frames import FrameReader, encode_frame, take_frame

LIMIT = 300
payloads = st.lists(st.binary(min_size=1, max_size=LIMIT), max_size=20)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    frames = draw(payloads)
    stream = b"".join(map(encode_frame, frames))
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=40))
    edges = [0, *sorted(cuts), len(stream)]
    return frames, [stream[begin:end] for begin, end in pairwise(edges)]


@given(chunked())
def test_any_chunking_gives_the_same_frames(case: tuple[list[bytes], list[bytes]]) -> None:
    frames, chunks = case
    reader = FrameReader(LIMIT)
    assert [frame for chunk in chunks for frame in reader.feed(chunk)] == frames


@given(payloads)
def test_byte_by_byte(frames: list[bytes]) -> None:
    reader = FrameReader(LIMIT)
    stream = b"".join(map(encode_frame, frames))
    assert [f for at in range(len(stream)) for f in reader.feed(stream[at : at + 1])] == frames


@given(st.lists(st.binary(max_size=50), max_size=30), st.integers(1, 2**31))
def test_garbage_raises_nothing_else(chunks: list[bytes], limit: int) -> None:
    reader = FrameReader(limit)
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except FrameInvalid:
        pass


@pytest.mark.parametrize("length", [0, LIMIT + 1, 2**32 - 1])
def test_a_bad_length_is_refused_by_its_header_alone(length: int) -> None:
    header = length.to_bytes(4, "big")
    with pytest.raises(FrameInvalid):
        FrameReader(LIMIT).feed(header)
    with pytest.raises(FrameInvalid):
        FrameReader(LIMIT).feed(encode_frame(b"good") + header)
    with pytest.raises(FrameInvalid):
        take_frame(bytearray(header), 0, LIMIT)


@given(st.binary(min_size=1, max_size=LIMIT), st.binary(max_size=9), st.data())
def test_taking_one_frame(payload: bytes, before: bytes, data: st.DataObject) -> None:
    stream = before + encode_frame(payload)
    kept = data.draw(st.integers(len(before), len(stream) - 1))
    assert take_frame(bytearray(stream[:kept]), len(before), LIMIT) is None
    assert take_frame(bytearray(stream + b"more"), len(before), LIMIT) == payload


def test_the_limit_itself_is_allowed() -> None:
    assert FrameReader(LIMIT).feed(encode_frame(bytes(LIMIT))) == [bytes(LIMIT)]


@pytest.mark.parametrize("address", ["host:1", "127.0.0.1:7400", "[::1]:65535"])
def test_addresses(address: str) -> None:
    assert join_address(*split_address(address)) == address


@given(st.text(max_size=30))
def test_no_text_breaks_the_address(text: str) -> None:
    try:
        host, port = split_address(text)
    except ConfigurationError:
        return
    assert host
    assert 0 < port <= 65535


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":1", "host:0", "host:65536", "::1", "a:b:1"]
)
def test_refused_addresses(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address"):
        split_address(text)

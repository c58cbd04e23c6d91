"""The parts that need no connection."""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import unquote

import pytest
from hpack import Decoder, Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.errors import ConfigurationError
from quorate.gateways.grpc.codes import Code, RpcError
from quorate.gateways.grpc.fields import MESSAGE_BYTES, block, escaped
from quorate.gateways.grpc.frames import ConnectionFault, ErrorCode
from quorate.gateways.grpc.framing import Message, MessageReader
from quorate.gateways.grpc.heads import KNOWN_HEADS, Head, HeadReader
from quorate.gateways.grpc.limits import GrpcLimits
from quorate.gateways.grpc.methods import MethodTable, UnaryMethod
from quorate.gateways.grpc.patience import Patience

from .places import UNARY, Service, message, same

NAMES = st.sampled_from(("token", "grpc-timeout", "x-request", "user-agent"))
VALUES = st.text("abc0123456789S", min_size=1, max_size=200)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=5)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=10), st.lists(st.integers(0, 600)))
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    sent: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(message(each, flag=index % 2) for index, each in enumerate(sent))
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = MessageReader(50)
    got = [one for begin, end in pairwise(places) for one in reader.feed(data[begin:end])]
    assert got == [Message(index % 2, each) for index, each in enumerate(sent)]
    assert reader.held == 0


def test_a_length_is_judged_before_the_message_comes() -> None:
    reader = MessageReader(10)
    with pytest.raises(RpcError, match=r"larger than max \(11 vs. 10\)"):
        reader.feed(b"\0\0\0\0\x0b")


@settings(deadline=None)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.binary(max_size=20_000))))
def test_fields_are_read_by_others_as_they_were_meant(fields: list[tuple[bytes, bytes]]) -> None:
    assert Decoder(1 << 30).decode(block(*fields), raw=True) == fields


@settings(deadline=None)
@given(st.text(max_size=600))
def test_a_message_survives_its_escape(text: str) -> None:
    data = escaped(text)
    assert data.isascii()
    assert all(0x20 <= byte < 0x7F for byte in data)
    back = unquote(data.decode())
    assert back == text.encode("utf-8", "replace").decode()[: len(back)]
    assert len(text.encode("utf-8", "replace")) > MESSAGE_BYTES - 4 or len(back) == len(text)


@settings(deadline=None)
@given(st.lists(FIELDS, max_size=40), st.sampled_from((0, 64, 4096)))
def test_a_head_is_what_its_fields_say_whatever_came_before(
    requests: list[list[tuple[str, str]]], table: int
) -> None:
    encoder = Encoder()
    encoder.header_table_size = table
    reader = HeadReader(MethodTable(Service().methods), 1 << 20)
    for fields in requests * 2:
        always = [(":method", "POST"), (":scheme", "http"), (":path", UNARY)]
        always.append(("content-type", "application/grpc"))
        timeouts = [value for name, value in fields if name == "grpc-timeout"]
        for _ in range(2):
            opening = reader.read(encoder.encode([*always, *fields]))
            if len(timeouts) > 1 or any(not _is_timeout(value) for value in timeouts):
                assert not isinstance(opening, Head)
                continue
            assert isinstance(opening, Head)
            for name in {name for name, _ in fields}:
                told = ",".join(value for key, value in fields if key == name)
                assert opening.metadata[name] == told
            assert len(opening.metadata) == 1 + len({name for name, _ in fields})


def _is_timeout(value: str) -> bool:
    return value[-1] == "S" and value[:-1].isdigit() and len(value) <= 9


def test_heads_that_are_kept_are_bounded() -> None:
    encoder = Encoder()
    reader = HeadReader(MethodTable(Service().methods), 1 << 20)
    always = [(":method", "POST"), (":scheme", "http"), ("content-type", "application/grpc")]
    kept = 0
    for _ in range(2):
        for number in range(2 * KNOWN_HEADS):
            path, token = f"/{number // 12}", str(number % 12)
            reader.read(encoder.encode([*always, (":path", path), ("token", token)]))
            kept = max(kept, len(reader._known))
    assert kept == KNOWN_HEADS


def test_a_handlers_metadata_cannot_be_changed() -> None:
    block = Encoder().encode(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", UNARY),
            ("content-type", "application/grpc"),
        ]
    )
    head = HeadReader(MethodTable(Service().methods), 1 << 20).read(block)
    assert isinstance(head, Head)
    with pytest.raises(TypeError):
        head.metadata["token"] = "x"  # type: ignore[index]  # that is the point


def test_patience_is_bought_by_answers_and_by_time() -> None:
    now = 0.0
    patience = Patience(3, 2.0, lambda: now)
    for _ in range(3):
        patience.spend(0)
    with pytest.raises(ConnectionFault) as raised:
        patience.spend(0)
    assert raised.value.code is ErrorCode.ENHANCE_YOUR_CALM
    patience.spend(2)
    now = 1.0
    for _ in range(2):
        patience.spend(2)
    now = 1000.0
    for _ in range(3):
        patience.spend(1000)
    with pytest.raises(ConnectionFault, match="too many frames"):
        patience.spend(1000)


@pytest.mark.parametrize("name", GrpcLimits.__struct_fields__)
def test_a_bound_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        GrpcLimits(**{name: 0})


@pytest.mark.parametrize("name", ["stream_window_bytes", "connection_window_bytes"])
@pytest.mark.parametrize("size", [65_534, 1 << 31])
def test_windows_are_within_those_of_http2(name: str, size: int) -> None:
    with pytest.raises(ConfigurationError, match=name):
        GrpcLimits(**{name: size})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/a.B/D", "unknown method D for service a.B"),
        ("/a.B/C/D", "unknown service a.B/C"),
        ("/x/C", "unknown service x"),
        ("//C", 'malformed method name: "//C"'),
        ("a.B/C", 'malformed method name: "a.B/C"'),
        ("", 'malformed method name: ""'),
    ],
)
def test_a_path_that_is_not_served_is_named(path: str, text: str) -> None:
    method = UnaryMethod(same, same, Service().unary)
    table = MethodTable({"/a.B/C": method})
    assert table.find("/a.B/C") is method
    with pytest.raises(RpcError) as raised:
        table.find(path)
    assert raised.value.code is Code.UNIMPLEMENTED
    assert raised.value.message == text
    assert str(raised.value) == f"UNIMPLEMENTED: {text}"

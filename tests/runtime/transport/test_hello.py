"""The first words, and the rules by which they are judged."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import FrameInvalid
from quorate.runtime.transport.hello import (
    PROTOCOL_VERSION,
    Hello,
    Refusal,
    RefusalCode,
    Role,
    Welcome,
    decode_answer,
    decode_hello,
    encode_answer,
    encode_hello,
    judge_hello,
)

from .places import CLUSTER, hello


def judged(said: Hello) -> RefusalCode | None:
    refusal = judge_hello(said, cluster_id=CLUSTER, is_member=lambda node: node in {1, 2})
    return None if refusal is None else RefusalCode(refusal.code)


def test_round_trip() -> None:
    said = hello(Role.BULK, node_id=2)
    assert decode_hello(encode_hello(said)) == said
    for answer in (Welcome(1, 2, 3, 4, 5, "a:1"), Refusal(RefusalCode.BUSY, "full")):
        assert decode_answer(encode_answer(answer)) == answer


@given(st.binary(max_size=100))
def test_garbage_raises_nothing_else(data: bytes) -> None:
    for decode in (decode_hello, decode_answer):
        with contextlib.suppress(FrameInvalid):
            decode(data)


@pytest.mark.parametrize(
    "data",
    [b"\x91" * 60_000, msgspec.msgpack.encode([PROTOCOL_VERSION, 9]), b"\x92\x01\xa1\xff"],
)
def test_hostile_bytes(data: bytes) -> None:
    with pytest.raises(FrameInvalid):
        decode_hello(data)


def test_a_later_version_is_refused_by_name_whatever_it_says_next() -> None:
    said = decode_hello(msgspec.msgpack.encode([PROTOCOL_VERSION + 1, {"all": "new"}]))
    assert judged(said) is RefusalCode.VERSION


def test_a_later_field_does_not_hurt() -> None:
    longer = msgspec.msgpack.encode([*msgspec.to_builtins(hello(), builtin_types=[bytes]), "new"])
    assert decode_hello(longer) == hello()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (hello(), None),
        (hello(cluster_id=0), None),
        (hello(Role.PEER, node_id=2), None),
        (hello(Role.BULK, node_id=1), None),
        (hello(cluster_id=1), RefusalCode.CLUSTER),
        (hello(Role.PEER, node_id=2, cluster_id=0), RefusalCode.CLUSTER),
        (hello(Role.PEER, node_id=9), RefusalCode.MEMBERSHIP),
        (hello(Role.BULK, node_id=9), RefusalCode.MEMBERSHIP),
        (hello(version=2), RefusalCode.VERSION),
    ],
)
def test_judgement(said: Hello, code: RefusalCode | None) -> None:
    assert judged(said) is code


def test_the_credential_is_not_shown() -> None:
    assert "secret" not in repr(hello())

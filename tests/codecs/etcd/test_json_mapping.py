"""Messages as JSON: what is written is read again, and reading takes more than is written."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.codecs.etcd import failures
from quorate.codecs.etcd.failures import Failure
from quorate.codecs.etcd.go_json import Unfinished
from quorate.codecs.etcd.json_mapping import (
    each_from_json,
    error_json,
    from_json,
    http_status,
    stream_error_json,
    stream_json,
    to_json,
)
from quorate.codecs.etcd.json_reading import CAREFUL_BYTES_MAX, MESSAGES_MAX
from quorate.codecs.etcd.messages import (
    DESCRIBED,
    MESSAGES,
    KeyValue,
    Member,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
)
from quorate.errors import InvalidRequest

SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptorProto.TYPE_BYTES: st.binary(),
    FieldDescriptorProto.TYPE_STRING: st.text(),
    FieldDescriptorProto.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptorProto.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptorProto.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptorProto.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptorProto.TYPE_BOOL: st.booleans(),
}
LEVELS = 3
DEFINED = {
    f"{file.package}.{message.name}": message for file in DESCRIBED for message in file.message_type
}


@st.composite
def any_message(draw: st.DrawFn, kind: Any, levels: int = LEVELS) -> Any:
    described = DEFINED[kind.DESCRIPTOR.full_name]
    fields: dict[str, Any] = {}
    for field in described.field:
        if not draw(st.booleans()):
            continue
        values: st.SearchStrategy[Any]
        if field.type == FieldDescriptorProto.TYPE_MESSAGE:
            if levels == 0:
                continue
            values = any_message(MESSAGES[field.type_name.rsplit(".", 1)[1]], levels - 1)
        elif field.type == FieldDescriptorProto.TYPE_ENUM:
            values = st.integers(0, 9)
        else:
            values = SCALARS[field.type]
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            values = st.lists(values, max_size=3)
        fields[field.name] = draw(values)
    return kind(**fields)


messages = st.sampled_from(sorted(MESSAGES)).flatmap(lambda name: any_message(MESSAGES[name]))


@given(messages)
@settings(deadline=None)
def test_what_is_written_is_read_again(message: Any) -> None:
    assert from_json(type(message), to_json(message)) == message


@given(messages)
@settings(deadline=None)
def test_what_is_written_means_what_protobufs_own_json_means(message: Any) -> None:
    theirs = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert json.loads(to_json(message)) == theirs


@given(messages)
@settings(deadline=None)
def test_the_json_of_others_is_read(message: Any) -> None:
    written = json_format.MessageToJson(message).encode()
    assert from_json(type(message), written) == message


@given(st.binary() | st.text().map(str.encode))
def test_whatever_the_bytes_are_they_are_a_message_or_refused(body: bytes) -> None:
    with suppress(InvalidRequest):
        assert isinstance(from_json(RangeRequest, body), RangeRequest)


def test_a_response_is_written_without_defaults_and_spaces() -> None:
    response = RangeResponse(
        header={"cluster_id": 2**64 - 1, "revision": 5},
        kvs=[KeyValue(key=b"foo", create_revision=2, mod_revision=3, version=1, value=b"b\xff")],
        count=1,
    )
    assert to_json(response) == (
        b'{"header":{"cluster_id":"18446744073709551615","revision":"5"},'
        b'"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"3","version":"1",'
        b'"value":"Yv8="}],"count":"1"}'
    )


def test_of_a_union_even_a_default_is_written() -> None:
    compare = MESSAGES["Compare"](key=b"k", version=0)
    assert to_json(compare) == b'{"key":"aw==","version":"0"}'
    assert to_json(RequestOp(request_range={})) == b'{"request_range":{}}'


def test_text_is_escaped_as_etcd_escapes_it() -> None:
    member = Member(name='<a&\u2028"\\/\x08\x0c\n\x01\x7fé>', peerURLs=["a>b"])
    assert to_json(member) == (
        '{"name":"\\u003ca\\u0026\\u2028\\"\\\\/\\u0008\\u000c\\n\\u0001\x7fé\\u003e",'
        '"peerURLs":["a\\u003eb"]}'.encode()
    )


def test_hashes_are_numbers_and_what_is_wider_is_text() -> None:
    hashed = MESSAGES["HashKVResponse"](hash=2**32 - 1, compact_revision=7)
    assert to_json(hashed) == b'{"hash":4294967295,"compact_revision":"7"}'


@pytest.mark.parametrize("body", [b"", b" \n", b"null", b"{}", b'{"other":[{}]}', b"{} x"])
def test_a_body_may_say_nothing(body: bytes) -> None:
    assert from_json(RangeRequest, body) == RangeRequest()


def test_names_and_numbers_may_be_written_in_two_ways() -> None:
    wanted = RangeRequest(key=b"k", range_end=b"l", limit=5, sort_order=2)
    for body in (
        b'{"key":"aw==","range_end":"bA==","limit":"5","sort_order":"DESCEND"}',
        b'{"key":"aw==","rangeEnd":"bA==","limit":5,"sortOrder":2}',
        b'{"key":[107],"rangeEnd":[108],"limit":" 5 ","sort_order":"DESCEND"}',
    ):
        assert from_json(RangeRequest, body) == wanted


def test_the_name_in_camel_case_counts_before_the_other() -> None:
    assert from_json(RangeRequest, b'{"countOnly":true,"count_only":7}').count_only
    assert not from_json(RangeRequest, b'{"countOnly":null,"count_only":true}').count_only


def test_of_a_union_the_field_with_the_highest_number_counts() -> None:
    body = b'{"request_put":{"key":"aw=="},"request_range":{"key":"aw=="}}'
    assert from_json(RequestOp, body) == RequestOp(request_put=PutRequest(key=b"k"))


def test_text_that_is_no_unicode_is_read_as_etcd_reads_it() -> None:
    kind = MESSAGES["AuthUserAddRequest"]
    name = "\ufffd" * 3
    assert from_json(kind, b'{"name":"\xed\xa0\x80"}').name == name
    assert from_json(kind, b'{"name":"\xe2\x82\\ud800","\xff":1}').name == name
    assert from_json(kind, b'{"name":"\\\\ud800 \\ud83d\\ude00 \\udc00\xff"}').name == (
        "\\ud800 \U0001f600 \ufffd\ufffd"
    )


def nested(levels: int) -> bytes:
    """A transaction in a transaction, and so on: two messages for each level."""
    inside = b'{"success":[{"request_txn":' * levels
    return inside + b"{}" + b"}]}" * levels


def test_messages_may_lie_as_deep_in_each_other_as_clients_can_read() -> None:
    deepest = (MESSAGES_MAX - 1) // 2
    message = from_json(TxnRequest, nested(deepest))
    assert TxnRequest.FromString(message.SerializeToString()) == message
    for levels in (deepest + 1, 100_000):
        with pytest.raises(InvalidRequest, match=r"^exceeded max depth$"):
            from_json(TxnRequest, nested(levels))


def test_what_is_skipped_may_not_be_too_deep_either() -> None:
    body = b'{"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(InvalidRequest, match=r"^exceeded max depth$"):
        from_json(RangeRequest, body)


def test_a_large_body_is_not_read_with_the_same_care() -> None:
    large = b'{"value":"' + b"AAAA" * (CAREFUL_BYTES_MAX // 4) + b'"}'
    value = b"\0" * (CAREFUL_BYTES_MAX // 4 * 3)
    assert from_json(PutRequest, large + b"\n").value == value
    assert from_json(PutRequest, large[:-1] + b',"\xff":1}').value == value
    text = b'"' + b"[" * (CAREFUL_BYTES_MAX + 1) + b'"'
    for kind, body in (
        (PutRequest, large + b"x"),
        (PutRequest, large[:-1]),
        (RangeRequest, b'{"limit":' + text + b"}"),
        (RangeRequest, b'{"sort_order":' + text + b"}"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            from_json(kind, body)
        assert len(str(caught.value)) < 100


def test_a_body_with_several_requests_gives_each() -> None:
    kind = MESSAGES["LeaseKeepAliveRequest"]
    found = each_from_json(kind, b'{"ID":5} {"ID":"6"}\n{"ID":"x"}')
    assert [next(found).ID, next(found).ID] == [5, 6]
    with pytest.raises(InvalidRequest, match=r"^invalid character 'x' looking for beginning"):
        next(found)
    assert list(each_from_json(kind, b"")) == []


def test_a_body_that_ends_within_a_request_may_have_more_to_come() -> None:
    found = each_from_json(RangeRequest, b'{"limit":1}{"limit"')
    assert next(found).limit == 1
    with pytest.raises(Unfinished):
        next(found)


def test_a_response_of_a_stream_is_a_line() -> None:
    assert stream_json(KeyValue(lease=1)) == b'{"result":{"lease":"1"}}\n'


def test_an_error_is_said_twice() -> None:
    text = "etcdserver: mvcc: required revision has been compacted"
    assert json.loads(error_json(failures.COMPACTED)) == {
        "error": text,
        "code": 11,
        "message": text,
    }
    assert error_json(Failure(3, 'a "b" <c>')) == (
        b'{"error":"a \\"b\\" \\u003cc\\u003e","code":3,"message":"a \\"b\\" \\u003cc\\u003e"}'
    )


def test_an_error_ends_a_stream() -> None:
    assert stream_error_json(failures.NO_LEADER) == (
        b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader",'
        b'"http_status":"Service Unavailable"}}'
    )


def test_a_code_has_a_status() -> None:
    assert [http_status(code).value for code in range(18)] == [
        *(200, 408, 500, 400, 504, 404, 409, 403, 429),
        *(400, 409, 400, 501, 500, 503, 500, 401, 500),
    ]

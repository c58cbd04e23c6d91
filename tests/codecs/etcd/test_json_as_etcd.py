"""JSON side by side with etcd: each body is posted to it, and sent to it as our message of it.

The second way goes over gRPC: our reading of the body, etcd's response or error, our writing of
that. Both answers must be the same bytes with the same status.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engines.etcd_servers import EtcdServers

from quorate.codecs.etcd.failures import FAILURES, Failure
from quorate.codecs.etcd.json_mapping import (
    each_from_json,
    error_json,
    from_json,
    http_status,
    stream_error_json,
    stream_json,
    to_json,
)
from quorate.codecs.etcd.services import RPCS_BY_HTTP_PATH, Rpc
from quorate.errors import InvalidRequest

pytestmark = pytest.mark.system

Answer = tuple[int, bytes]
INVALID = 3
UNKNOWN = 2
RANGE = "/v3/kv/range"
TRANSACTION = "/v3/kv/txn"
KEY = b'"key":"Zm9v"'


class Etcd:
    """One server, and two ways to ask it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.insecure_channel(address)

    def post(self, path: str, body: bytes) -> Answer:
        """Ask as clients with JSON do."""
        # A server may close a connection after a body that it did not read to its end.
        with closing(HTTPConnection(self._address)) as connection:
            connection.request("POST", path, body)
            response = connection.getresponse()
            return response.status, response.read()

    def send(self, path: str, body: bytes) -> Answer:
        """Ask with our message of the body, and write what is answered."""
        rpc = RPCS_BY_HTTP_PATH[path]
        try:
            return self._stream(rpc, body) if rpc.streams_out else self._unary(rpc, body)
        except InvalidRequest as error:
            return _failed(Failure(UNKNOWN if rpc.streams_in else INVALID, str(error)))

    def _unary(self, rpc: Rpc, body: bytes) -> Answer:
        request = from_json(rpc.request, body)
        call = self._channel.unary_unary(rpc.path, _to_bytes, rpc.response.FromString)
        try:
            return http_status(0), to_json(call(request))
        except grpc.RpcError as error:
            return _failed(_failure(error))

    def _stream(self, rpc: Rpc, body: bytes) -> Answer:
        if rpc.streams_in:
            requests = list(each_from_json(rpc.request, body))
            many = self._channel.stream_stream(rpc.path, _to_bytes, rpc.response.FromString)
            responses = many(iter(requests))
        else:
            one = self._channel.unary_stream(rpc.path, _to_bytes, rpc.response.FromString)
            responses = one(from_json(rpc.request, body))
        try:
            return http_status(0), b"".join(map(stream_json, responses))
        except grpc.RpcError as error:
            failure = _failure(error)
            return http_status(failure.code), stream_error_json(failure)

    def close(self) -> None:
        self._channel.close()


def _to_bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _failure(error: Any) -> Failure:
    return Failure(error.code().value[0], error.details())


def _failed(failure: Failure) -> Answer:
    return http_status(failure.code), error_json(failure)


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with EtcdServers(tmp_path_factory.mktemp("etcd"), count=1) as servers:
        asked = Etcd(servers.addresses[0])
        for path, body in PREPARED:
            assert asked.send(path, body)[0] == 200
        yield asked
        asked.close()


PREPARED = (
    ("/v3/kv/put", b'{"key":"Zm9v","value":"YmFy"}'),
    ("/v3/kv/put", b'{"key":"Zm9v","value":"YmFyYg==","lease":"0"}'),
    ("/v3/kv/put", b'{"key":"Zm9vMg=="}'),
    ("/v3/lease/grant", b'{"ID":"7","TTL":"100000"}'),
    ("/v3/auth/role/add", b'{"name":"r"}'),
    (
        "/v3/auth/role/grant",
        b'{"name":"r","perm":{"permType":"READWRITE","key":"YQ==","range_end":"Yg=="}}',
    ),
    ("/v3/auth/user/add", rb'{"name":"a<b>&\"\\/\u2028\u007f\u00e9\ud83d\ude00","password":"p"}'),
    ("/v3/auth/user/add", rb'{"name":"\b\f\n\r\t\u0001\u001f","password":"p"}'),
    ("/v3/auth/user/add", b'{"name":"\\ud800 \xed\xa0\x80 \xe2\x82","password":"p"}'),
    ("/v3/maintenance/alarm", b'{"action":"ACTIVATE","alarm":"CORRUPT","memberID":"9"}'),
    ("/v3/maintenance/alarm", b'{"action":"DEACTIVATE","alarm":"CORRUPT","memberID":"9"}'),
)


@pytest.mark.parametrize(
    "body",
    [
        b'{"key":"Zm9v"}',
        b'{"key":"Zg==","range_end":"Zw=="}',
        b'{"key":"Zg==","rangeEnd":"Zw==","countOnly":true}',
        b'{"key":"AA==","range_end":"AA==","limit":1,"keys_only":true}',
        b'{"key":"AA==","range_end":"AA==","sort_order":"DESCEND","sort_target":"CREATE"}',
        b'{"key":"Zm9v","revision":"9999"}',
        b'{"key":"Zm9v"} and more',
        b'{"key":"Zm9v"}{"key":1}',
        b' \n\t{"key" : "Zm9v" }',
        b'{"key":"Zm9v","unknown":{"a":[1,2,{"b":null}]}}',
        b'{"key":"Zg==","key":"Zm9v"}',
        b'{"k\\u0065y":"Zm9v"}',
        b'{"Key":"Zm9v"}',
        b"",
        b"  ",
        b"null",
        b"{}",
    ],
)
def test_a_range_is_answered_alike(etcd: Etcd, body: bytes) -> None:
    assert etcd.send(RANGE, body) == etcd.post(RANGE, body)


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"[]",
            b"1",
            b'"a"',
            b"true",
            b"[",
            b"{",
            b"xyz",
            b"- ",
            b"\xff",
            b"\xef\xbb\xbf{}",
            b"x{}",
        ),
        *(b'{"key":"Zm9v"', b'{"key":"Zm9v",}', b"{key:1}", b'{"key" 1}', b"{'key':1}"),
        *(b'{"key":"Zm9v" "a":1}', b'{"key":tru}', b'{"key":nul', b'{"key":"abc', b'{"a":"\\'),
        *(b'{"key":+1}', b'{"key":01}', b'{"key":1.}', b'{"key":-}', b'{"key":1e}', b'{"key":1e+'),
        *(b'{"key":"\x01"}', b'{"key":"\\x"}', b'{"key":"\\u12g4"}', b'{"key":\xff}', b'{"a":NaN}'),
        *(b'{"a":[1,2}', b'{"a":[1 2]}', b'{"a":[1,]}', b"{\"a\":'b'}", b'{"a":"\x7f\x00"}'),
        *(b'{"a":\xa0}', b'{"a":\xad}', b'{"a":\x85}', b'{"a":\x07}', b'{"a":\x0b}', b'{"a":\\}'),
    ],
)
def test_what_is_no_json_is_refused_in_the_same_words(etcd: Etcd, body: bytes) -> None:
    status, answer = etcd.send(RANGE, body)
    assert status == 400
    assert (status, answer) == etcd.post(RANGE, body)


@pytest.mark.parametrize(
    "field",
    [
        *(b'"limit":"1"', b'"limit":1', b'"limit":1.0', b'"limit":1e2', b'"limit":"1.5"'),
        *(b'"limit":"abc"', b'"limit":""', b'"limit":null', b'"limit":"null"', b'"limit":true'),
        *(b'"limit":[]', b'"limit":{}', b'"limit":" 1 "', b'"limit":"1 2"', b'"limit":"\\u0031"'),
        *(b'"limit":"+1"', b'"limit":"01"', b'"limit":-0', b'"limit":"true"', b'"limit":"[]"'),
        *(
            b'"limit":"\\"1\\""',
            b'"limit":"\\n1"',
            b'"limit":"[1"',
            b'"limit":"-"',
            b'"limit":"1."',
        ),
        *(b'"limit":"tru"', b'"limit":"{"', b'"limit":"x"', b'"limit":" "'),
        b'"limit":9223372036854775808',
        b'"limit":"9223372036854775808"',
        b'"limit":-9223372036854775808',
        b'"limit":-9223372036854775809',
        b'"limit":99999999999999999999999',
        *(b'"sort_order":"ASCEND"', b'"sort_order":"ascend"', b'"sort_order":1'),
        *(b'"sort_order":7', b'"sort_order":"1"', b'"sort_order":1.5', b'"sort_order":true'),
        *(b'"sort_order":null', b'"sort_order":99999999999', b'"sort_order":"A\\u0053CEND"'),
        *(b'"sort_order":[]', b'"sort_order":{}', '"sort_order":"é\u00a0"'.encode()),
        *(b'"sort_order":-1', b'"sort_order":""', b'"sortOrder":"DESCEND"'),
        *(b'"count_only":true', b'"count_only":1', b'"count_only":"true"', b'"count_only":null'),
        *(b'"count_only":[]', b'"count_only":{}', b'"COUNT_ONLY":true'),
        b'"countOnly":true,"count_only":false',
        b'"count_only":false,"countOnly":true',
        b'"count_only":null,"countOnly":true',
        b'"count_only":true,"countOnly":null',
        b'"count_only":7,"countOnly":true',
    ],
)
def test_every_kind_of_field_is_read_alike(etcd: Etcd, field: bytes) -> None:
    body = b"{" + KEY + b"," + field + b"}"
    assert etcd.send(RANGE, body) == etcd.post(RANGE, body)


@pytest.mark.parametrize(
    "key",
    [
        *(b"1", b"true", b"{}", b"null", b"[102,111,111]", b"[102,111,300]", b'[102,"a"]'),
        *(b"[1.5]", b"[-1]", b"[null,102]", b"[[]]", b"[]", b'""', b'"Zm9"', b'"Zm9v="'),
        *(b'"Zm9\\nv"', b'"Zm 9v"', b'"_-_-"', b'"Zg=="', b'"Zh=="', b'"Zg"', b'"Zg=\\n="'),
        *(b'"!"', b'"Zg==Zg=="', b'"=Zg="', b'"Zm9v\\u00e9"', b'"Zm9v\xc3\xa9"', b'"Zm9v\xff"'),
        *(b'"Z"', b'"Zm9vZ"', b'"Zm9\\nvZ"', b'"Zg="', b'"Zg=\\na"', b'"Zm9v===="', b'"Zm8=Zm8="'),
        *(b'"Zm8=\\r\\n"', b'"\\u005am9v"', b'"Zm\\/v"'),
    ],
)
def test_bytes_are_read_alike(etcd: Etcd, key: bytes) -> None:
    body = b'{"key":' + key + b"}"
    assert etcd.send(RANGE, body) == etcd.post(RANGE, body)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"success":null}',
        b'{"success":{}}',
        b'{"success":[{}]}',
        b'{"success":[null]}',
        b'{"success":[[]]}',
        b'{"success":[{"request_range":null}]}',
        b'{"success":[{"request_range":{' + KEY + b"}}]}",
        b'{"success":[{"request_put":null,"request_range":{' + KEY + b"}}]}",
        b'{"success":[{"requestTxn":{"success":[{"request_range":{' + KEY + b"}}]}}]}",
        b'{"success":[{"request_delete_range":{"key":"enp6","prev_kv":true}}]}',
        b'{"success":[{"request_range":{' + KEY + b'}},{"request_range":{"limit":"x"}}]}',
        b'{"compare":"x"}',
        b'{"compare":[{' + KEY + b',"version":1,"lease":0}]}',
        b'{"compare":[{' + KEY + b',"lease":0,"version":1}]}',
        b'{"compare":[{' + KEY + b',"version":null}]}',
        b'{"compare":[{' + KEY + b',"target":"VALUE","result":"GREATER","value":"YQ=="}],'
        b'"success":[{"request_range":{' + KEY + b',"count_only":true}}],'
        b'"failure":[{"request_range":{' + KEY + b"}}]}",
    ],
)
def test_a_transaction_is_answered_alike(etcd: Etcd, body: bytes) -> None:
    assert etcd.send(TRANSACTION, body) == etcd.post(TRANSACTION, body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v3/lease/timetolive", b'{"ID":77}'),
        ("/v3/kv/lease/timetolive", b'{"ID":"77","keys":true}'),
        ("/v3/lease/leases", b""),
        ("/v3/lease/grant", b'{"ID":7,"TTL":1}'),
        ("/v3/lease/grant", b'{"TTL":"9000000001"}'),
        ("/v3/lease/revoke", b'{"ID":78}'),
        ("/v3/lease/keepalive", b'{"ID":"99"}'),
        ("/v3/lease/keepalive", b'{"ID":7} {"ID":7}'),
        ("/v3/lease/keepalive", b'{"ID":"x"}'),
        ("/v3/lease/keepalive", b""),
        ("/v3/kv/put", b"{}"),
        ("/v3/kv/put", b'{"key":"YQ==","lease":"5"}'),
        ("/v3/kv/put", b'{"key":"YQ==","value":"YQ==","ignore_value":true}'),
        ("/v3/kv/put", b'{"key":"YQ==","lease":1,"ignore_lease":true}'),
        ("/v3/kv/deleterange", b'{"key":"enp6","prev_kv":true}'),
        ("/v3/kv/compaction", b'{"revision":"9999"}'),
        ("/v3/cluster/member/list", b'{"linearizable":true}'),
        ("/v3/cluster/member/add", b'{"peerURLs":["x y"]}'),
        ("/v3/cluster/member/add", b'{"peerURLs":[1]}'),
        ("/v3/cluster/member/add", b'{"peerURLs":[null]}'),
        ("/v3/maintenance/alarm", b"{}"),
        ("/v3/maintenance/alarm", b'{"memberID":-1}'),
        ("/v3/maintenance/alarm", b'{"memberID":-0}'),
        ("/v3/maintenance/alarm", b'{"memberID":18446744073709551615}'),
        ("/v3/maintenance/alarm", b'{"memberID":18446744073709551616}'),
        ("/v3/maintenance/alarm", b'{"alarm":"X"}'),
        ("/v3/maintenance/transfer-leadership", b'{"targetID":1}'),
        ("/v3/maintenance/downgrade", b'{"action":"VALIDATE","version":"3.4.0"}'),
        ("/v3/maintenance/downgrade", b'{"action":"VALIDATE","version":"x"}'),
        ("/v3/maintenance/downgrade", b'{"action":"CANCEL"}'),
        ("/v3/auth/status", b""),
        ("/v3/auth/enable", b""),
        ("/v3/auth/user/add", b'{"name":"","password":"p"}'),
        ("/v3/auth/user/add", b'{"name":5}'),
        ("/v3/auth/user/list", b""),
        ("/v3/auth/user/get", b'{"name":"nobody"}'),
        ("/v3/auth/role/add", b'{"name":"r"}'),
        ("/v3/auth/role/get", b'{"role":"r"}'),
        ("/v3/auth/role/grant", b'{"name":"r"}'),
        ("/v3/auth/authenticate", b'{"name":"x"}'),
        ("/v3/lock/unlock", b'{"key":"bA=="}'),
        ("/v3/election/leader", b'{"name":"ZQ=="}'),
        ("/v3/election/proclaim", b"{}"),
        ("/v3/election/proclaim", b'{"leader":{"name":"ZQ==","key":"ZQ==","rev":"5"}}'),
        ("/v3/election/resign", b"{}"),
    ],
)
def test_every_service_is_answered_alike(etcd: Etcd, path: str, body: bytes) -> None:
    assert etcd.send(path, body) == etcd.post(path, body)


def test_a_response_with_every_kind_of_field_is_written_alike(etcd: Etcd) -> None:
    def without_sizes(answer: bytes) -> bytes:
        return re.sub(rb'"(dbSize|dbSizeInUse|raftIndex|raftAppliedIndex)":"\d+",?', b"", answer)

    path = "/v3/maintenance/status"
    assert without_sizes(etcd.send(path, b"")[1]) == without_sizes(etcd.post(path, b"")[1])


def test_what_is_written_by_either_is_the_same(etcd: Etcd) -> None:
    body = b'{"key":"d3JpdHRlbg==","value":"_","lease":"7","prevKv":true}'.replace(b"_", b"/+8=")

    def without_revisions(answer: Answer) -> bytes:
        assert answer[0] == 200
        return re.sub(rb'"(\w*revision|version)":"\d+"', b'""', answer[1])

    etcd.send("/v3/kv/put", body)
    first = without_revisions(etcd.send("/v3/kv/put", body))
    assert b'"value":"/+8="' in first
    assert first == without_revisions(etcd.post("/v3/kv/put", body))


def test_an_error_ends_a_stream_alike(tmp_path: Path) -> None:
    with EtcdServers(tmp_path, count=1) as servers:
        asked = Etcd(servers.addresses[0])
        for path, body in (
            ("/v3/auth/user/add", b'{"name":"root","password":"p"}'),
            ("/v3/auth/role/add", b'{"name":"root"}'),
            ("/v3/auth/user/grant", b'{"user":"root","role":"root"}'),
            ("/v3/auth/enable", b""),
        ):
            assert asked.send(path, body)[0] == 200
        for path in ("/v3/maintenance/snapshot", "/v3/kv/range", "/v3/auth/user/list"):
            status, answer = asked.post(path, b'{"key":"YQ=="}')
            assert status != 200
            assert asked.send(path, b'{"key":"YQ=="}') == (status, answer)
        asked.close()


def test_errors_have_the_codes_of_our_list(etcd: Etcd) -> None:
    for path, body in (
        (RANGE, b"{}"),
        (RANGE, b'{"key":"YQ==","revision":9999}'),
        (TRANSACTION, b'{"success":[{}]}'),
        ("/v3/lease/revoke", b'{"ID":78}'),
        ("/v3/lease/grant", b'{"ID":7,"TTL":1}'),
        ("/v3/auth/user/get", b'{"name":"nobody"}'),
        ("/v3/election/leader", b'{"name":"ZQ=="}'),
        ("/v3/election/proclaim", b"{}"),
        ("/v3/election/proclaim", b'{"leader":{"name":"ZQ==","key":"ZQ==","rev":"5"}}'),
    ):
        answer = json.loads(etcd.post(path, body)[1])
        assert FAILURES[answer["message"]] == Failure(answer["code"], answer["message"])


# A sort target that there is not would end a server of 3.5.1.
names = st.sampled_from(
    ["key", "range_end", "rangeEnd", "limit", "sort_order", "sortOrder", "keys_only", "other"]
)
scalars = st.sampled_from(
    [b"null", b"true", b"0", b"-1", b"1.5", b'"Zm9v"', b'"1"', b'"ASCEND"', b'""', b"[102]", b"{}"]
)
objects = st.lists(st.tuples(names, scalars), max_size=4).map(
    lambda pairs: b"{" + b",".join(b'"%s":%s' % (n.encode(), s) for n, s in pairs) + b"}"
)


@given(objects, st.data())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_body_is_answered_alike(etcd: Etcd, body: bytes, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(body)))
        noise = data.draw(st.sampled_from([b'"', b",", b"}", b"\\", b" ", b"-", b"x", b"\0", b""]))
        body = body[:at] + noise + body[at + data.draw(st.integers(0, 2)) :]
    assert etcd.send(RANGE, body) == etcd.post(RANGE, body)

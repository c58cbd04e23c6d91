"""What a server tells of itself: enough for a client that knows nothing to make a message."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from quorate.codecs.etcd.messages import MESSAGES
from quorate.codecs.etcd.reflection import file_descriptors, reflect
from quorate.codecs.etcd.services import RPCS, SERVICES

Request = MESSAGES["ServerReflectionRequest"]


@pytest.fixture(scope="module")
def client() -> Iterator[ProtoReflectionDescriptorDatabase]:
    """A client of a real server."""
    rpc = RPCS["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]
    handler = grpc.stream_stream_rpc_method_handler(
        lambda requests, _: map(reflect, requests),
        request_deserializer=rpc.request.FromString,
        response_serializer=rpc.response.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(rpc.service, {rpc.method: handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ProtoReflectionDescriptorDatabase(channel)
    server.stop(None).wait()


def test_a_client_learns_the_services(client: ProtoReflectionDescriptorDatabase) -> None:
    assert client.get_services() == sorted(SERVICES)


def test_a_client_learns_every_call_and_its_messages(
    client: ProtoReflectionDescriptorDatabase,
) -> None:
    pool = DescriptorPool(client)
    for rpc in RPCS.values():
        method = pool.FindServiceByName(rpc.service).FindMethodByName(rpc.method)
        assert method.input_type.full_name == rpc.request.DESCRIPTOR.full_name
        assert method.output_type.full_name == rpc.response.DESCRIPTOR.full_name


def test_a_message_that_a_client_makes_so_is_read_here(
    client: ProtoReflectionDescriptorDatabase,
) -> None:
    kind = GetMessageClass(DescriptorPool(client).FindMessageTypeByName("mvccpb.Event"))
    made = kind(type="DELETE", kv={"key": b"k", "mod_revision": 7})
    mine = MESSAGES["Event"].FromString(made.SerializeToString())
    assert (mine.type, mine.kv.key, mine.kv.mod_revision) == (1, b"k", 7)


def test_what_is_unknown_is_not_found(client: ProtoReflectionDescriptorDatabase) -> None:
    with pytest.raises(KeyError):
        client.FindFileContainingSymbol("etcdserverpb.Nothing")
    with pytest.raises(KeyError):
        client.FindFileByName("nothing.proto")


def test_a_server_tells_of_the_services_that_it_has() -> None:
    answer = reflect(Request(host="h", list_services="*"), ["b.B", "a.A"])
    assert [each.name for each in answer.list_services_response.service] == ["a.A", "b.B"]
    assert answer.valid_host == "h"
    assert answer.original_request == Request(host="h", list_services="*")


def test_nothing_has_extensions() -> None:
    of_type = reflect(Request(all_extension_numbers_of_type="mvccpb.KeyValue"))
    assert of_type.all_extension_numbers_response.base_type_name == "mvccpb.KeyValue"
    assert not of_type.all_extension_numbers_response.extension_number
    for request in (
        Request(all_extension_numbers_of_type="mvccpb.Nothing"),
        Request(file_containing_extension={"containing_type": "mvccpb.KeyValue"}),
    ):
        assert reflect(request).error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_question_about_nothing_is_answered_so() -> None:
    answer = reflect(Request())
    assert answer.error_response.error_code == grpc.StatusCode.UNIMPLEMENTED.value[0]


def test_a_symbol_is_what_a_file_defines() -> None:
    described = file_descriptors()
    rpc = described.by_name["etcd/api/etcdserverpb/rpc.proto"]
    for symbol in (
        "etcdserverpb.RangeRequest",
        "etcdserverpb.RangeRequest.SortOrder",
        "etcdserverpb.RangeRequest.key",
        "etcdserverpb.AlarmType",
        "etcdserverpb.KV",
        "etcdserverpb.KV.Range",
    ):
        assert described.by_symbol[symbol] == rpc

"""etcd's messages: what etcd itself was made from, under its own names, in nobody's way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from quorate.codecs.etcd import messages
from quorate.codecs.etcd.auth_fields import ACCOUNTS
from quorate.codecs.etcd.concurrency_fields import ELECTION, LOCK
from quorate.codecs.etcd.grpc_fields import HEALTH, REFLECTION
from quorate.codecs.etcd.kv_fields import VALUES
from quorate.codecs.etcd.messages import DESCRIBED, FILES, MESSAGES, SERVER, AlarmType
from quorate.codecs.etcd.schema import ProtoFile

from .definitions import definitions, without_options


def ours(file: ProtoFile) -> FileDescriptorProto:
    described = FileDescriptorProto()
    described.CopyFrom(by_name(DESCRIBED)[file.path])
    return described


def by_name(described: Iterable[Any]) -> dict[str, Any]:
    return {each.name: each for each in described}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("kv.proto", VALUES),
        ("auth.proto", ACCOUNTS),
        ("rpc.proto", SERVER),
        ("v3lock.proto", LOCK),
        ("v3election.proto", ELECTION),
    ],
)
def test_every_message_enum_and_call_is_etcds_own(name: str, file: ProtoFile) -> None:
    theirs = without_options(definitions()[name])
    mine = ours(file)
    assert mine.package == theirs.package
    assert mine.syntax == theirs.syntax
    for part in ("message_type", "enum_type", "service"):
        assert by_name(getattr(mine, part)) == by_name(getattr(theirs, part))


@pytest.mark.parametrize(("module", "file"), [(health_pb2, HEALTH), (reflection_pb2, REFLECTION)])
def test_what_grpc_defines_is_as_grpc_defines_it(module: Any, file: ProtoFile) -> None:
    theirs = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(theirs)
    known = by_name(theirs.message_type)
    for message in ours(file).message_type:
        for field in message.field:
            field.ClearField("json_name")
        assert message == known[message.name]
    methods = by_name(theirs.service[0].method)
    for service in ours(file).service:
        assert service.name == theirs.service[0].name
        assert [method for method in service.method if methods[method.name] != method] == []


def test_no_two_messages_have_one_name() -> None:
    assert len(MESSAGES) == sum(len(file.messages) for file in FILES)


def test_messages_know_their_packages() -> None:
    assert MESSAGES["KeyValue"].DESCRIPTOR.full_name == "mvccpb.KeyValue"
    assert MESSAGES["Permission"].DESCRIPTOR.full_name == "authpb.Permission"
    assert MESSAGES["LockRequest"].DESCRIPTOR.full_name == "v3lockpb.LockRequest"


def test_another_package_may_define_the_same_messages_in_one_process() -> None:
    theirs, mine = reflection_pb2.ServiceResponse, MESSAGES["ServiceResponse"]
    assert theirs.DESCRIPTOR.full_name == mine.DESCRIPTOR.full_name
    assert mine.FromString(theirs(name="s").SerializeToString()) == mine(name="s")


def test_an_enum_is_a_number_that_has_a_name() -> None:
    request = messages.RangeRequest(sort_order=2, sort_target=messages.RangeRequest.MOD)
    assert request.sort_order == messages.RangeRequest.DESCEND
    assert request.sort_target == 3
    assert messages.RangeRequest.SortOrder.Name(request.sort_order) == "DESCEND"
    assert messages.Event(type=1).type == messages.Event.DELETE
    assert AlarmType.Name(AlarmType.CORRUPT) == "CORRUPT"


def test_an_enums_number_that_nobody_knows_is_kept() -> None:
    request = messages.RangeRequest(sort_order=7)
    assert messages.RangeRequest.FromString(request.SerializeToString()).sort_order == 7


def test_the_names_of_this_module_are_its_classes() -> None:
    named = {name for name in vars(messages) if name in MESSAGES}
    assert named >= {"RangeRequest", "PutResponse", "KeyValue", "WatchResponse"}
    assert all(vars(messages)[name] is MESSAGES[name] for name in named)

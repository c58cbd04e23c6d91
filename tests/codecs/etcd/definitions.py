"""What etcd's own server program says of its API: it carries the definitions it was made from."""

from __future__ import annotations

import re
import zlib
from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from tests.engines.etcd_servers import program

from quorate.codecs.etcd.schema import ProtoFile, describe

COMPRESSED = re.compile(rb"\x1f\x8b\x08")
LARGEST = 200_000
HTTP = ProtoFile(
    path="http.proto",
    package="http",
    messages={
        "Options": "http=72295728 Rule",
        "Rule": "post=4 string, additional_bindings=11 Rule *",
    },
)
"""As much of `google/api/annotations.proto` as etcd uses."""


@cache
def program_bytes() -> bytes:
    return program().read_bytes()


@cache
def definitions() -> dict[str, FileDescriptorProto]:
    """Every file of definitions in the program, by its name."""
    data = program_bytes()
    files = (_file(data[match.start() :][:LARGEST]) for match in COMPRESSED.finditer(data))
    return {file.name: file for file in files if file is not None}


def _file(data: bytes) -> FileDescriptorProto | None:
    try:
        return FileDescriptorProto.FromString(zlib.decompressobj(31).decompress(data))
    except (zlib.error, DecodeError):
        return None


def without_options(file: FileDescriptorProto) -> FileDescriptorProto:
    """A file without what says how Go's code is made of it, and without where it imports from."""
    plain = FileDescriptorProto()
    plain.CopyFrom(file)
    for part in (plain, *plain.message_type, *plain.enum_type):
        part.ClearField("options")
    for message in plain.message_type:
        for inner in (*message.field, *message.enum_type):
            inner.ClearField("options")
    for service in plain.service:
        for method in service.method:
            method.ClearField("options")
    plain.ClearField("dependency")
    return plain


@cache
def _options() -> Any:
    pool = DescriptorPool()
    for file in describe([HTTP]):
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("http.Options"))


def http_paths(method: MethodDescriptorProto) -> tuple[str, ...]:
    """Where JSON may be posted to a method."""
    rule = _options().FromString(method.options.SerializeToString()).http
    return (rule.post, *(added.post for added in rule.additional_bindings))

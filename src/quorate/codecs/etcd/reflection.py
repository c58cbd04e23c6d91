"""What a server tells of itself over gRPC's reflection.

Source: `grpc/reflection/v1alpha/reflection.proto`. The descriptors carry no options: clients
need none to make and read messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import msgspec
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from quorate.codecs.etcd.messages import DESCRIBED, MESSAGES
from quorate.codecs.etcd.services import SERVICES

_NOT_FOUND: Final = 5
_UNIMPLEMENTED: Final = 12
_Response: Final = MESSAGES["ServerReflectionResponse"]


class FileDescriptors(msgspec.Struct, frozen=True):
    """Serialized file descriptors; a symbol is the full name of a message, enum or call."""

    by_name: Mapping[str, bytes]
    by_symbol: Mapping[str, bytes]


@cache
def file_descriptors() -> FileDescriptors:
    """Return all descriptors, by the paths of their files and by what they define."""
    by_name = {}
    by_symbol = {}
    for file in DESCRIBED:
        data = file.SerializeToString()
        by_name[file.name] = data
        by_symbol.update(dict.fromkeys(_symbols(file), data))
    return FileDescriptors(by_name, by_symbol)


def reflect(request: Any, services: Iterable[str] = SERVICES) -> Any:
    """Return the `ServerReflectionResponse` to a request, by a server that has these services."""
    response = _Response(valid_host=request.host, original_request=request)
    kind = request.WhichOneof("message_request")
    if kind == "list_services":
        # What a client finds must not depend on how a server came to have it.
        for name in sorted(services):
            response.list_services_response.service.add(name=name)
    elif kind == "file_by_filename":
        _add_file(response, file_descriptors().by_name, request.file_by_filename)
    elif kind == "file_containing_symbol":
        _add_file(response, file_descriptors().by_symbol, request.file_containing_symbol)
    elif kind == "all_extension_numbers_of_type":
        _add_extensions(response, request.all_extension_numbers_of_type)
    elif kind == "file_containing_extension":
        name = request.file_containing_extension.containing_type
        _refuse(response, _NOT_FOUND, f"{name!r} has no extensions")
    else:
        _refuse(response, _UNIMPLEMENTED, "the reflection request asks for nothing known")
    return response


def _add_file(response: Any, files: Mapping[str, bytes], key: str) -> None:
    data = files.get(key)
    if data is None:
        _refuse(response, _NOT_FOUND, f"no file or symbol is called {key!r}")
    else:
        response.file_descriptor_response.file_descriptor_proto.append(data)


def _add_extensions(response: Any, name: str) -> None:
    if name in file_descriptors().by_symbol:
        response.all_extension_numbers_response.base_type_name = name
    else:
        _refuse(response, _NOT_FOUND, f"no message is called {name!r}")


def _refuse(response: Any, code: int, text: str) -> None:
    response.error_response.error_code = code
    response.error_response.error_message = text


def _symbols(file: FileDescriptorProto) -> Iterable[str]:
    for message in file.message_type:
        yield from _symbols_of(message, f"{file.package}.{message.name}")
    for enum in file.enum_type:
        yield f"{file.package}.{enum.name}"
    for service in file.service:
        yield f"{file.package}.{service.name}"
        for method in service.method:
            yield f"{file.package}.{service.name}.{method.name}"


def _symbols_of(message: DescriptorProto, name: str) -> Iterable[str]:
    yield name
    for enum in message.enum_type:
        yield f"{name}.{enum.name}"
    for field in message.field:
        yield f"{name}.{field.name}"

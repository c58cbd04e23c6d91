"""How the tables of this package are written, and how protobuf's descriptors are made of them.

A message is one line, "name=number type", with its fields divided by commas. After the type
stands "*" if the field is repeated, or "?name" if it is one of the union of that name. A type
is a scalar of protobuf's or the short name of a message or an enum. An enum is the names of its
values, numbered from 0; one that lies inside a message is written with the message's name.

A call is "Request Response", with "*" before what is a stream, and then the paths of HTTP under
which JSON may be posted to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

_SCALARS: Final = {
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "string": FieldDescriptorProto.TYPE_STRING,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}


class ProtoFile(msgspec.Struct, frozen=True):
    """One file of definitions. `imports` are paths of files that its types come from."""

    path: str
    package: str
    messages: Mapping[str, str]
    enums: Mapping[str, str] = {}
    services: Mapping[str, Mapping[str, str]] = {}
    imports: tuple[str, ...] = ()


class Call(NamedTuple):
    """One call, as a table has it."""

    request: str
    response: str
    streams_in: bool
    streams_out: bool
    http_paths: tuple[str, ...]


def call_of(text: str) -> Call:
    """Read one call."""
    request, response, *paths = text.split()
    return Call(
        request.removeprefix("*"),
        response.removeprefix("*"),
        request.startswith("*"),
        response.startswith("*"),
        tuple(paths),
    )


def describe(files: Iterable[ProtoFile]) -> list[FileDescriptorProto]:
    """Return the descriptors of all files, in their order; a type may come from any of them."""
    ordered = list(files)
    packages = {name: file.package for file in ordered for name in (*file.messages, *file.enums)}
    enums = frozenset(name for file in ordered for name in file.enums)
    return [_file(file, _Types(packages, enums)) for file in ordered]


class _Types:
    """What the short names of types mean."""

    def __init__(self, packages: Mapping[str, str], enums: frozenset[str]) -> None:
        self._packages = packages
        self._enums = enums

    def full_name(self, name: str) -> str:
        """Return how descriptors refer to a type."""
        return f".{self._packages[name]}.{name}"

    def set_type(self, field: FieldDescriptorProto, kind: str) -> None:
        """Give a field its type."""
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
            return
        is_enum = kind in self._enums
        field.type = (
            FieldDescriptorProto.TYPE_ENUM if is_enum else FieldDescriptorProto.TYPE_MESSAGE
        )
        field.type_name = self.full_name(kind)


def _file(file: ProtoFile, types: _Types) -> FileDescriptorProto:
    described = FileDescriptorProto(
        name=file.path, package=file.package, syntax="proto3", dependency=file.imports
    )
    for name, fields in file.messages.items():
        message = _message(name, fields, types)
        prefix = f"{name}."
        message.enum_type.extend(
            _enum(enum.removeprefix(prefix), values)
            for enum, values in file.enums.items()
            if enum.startswith(prefix)
        )
        described.message_type.append(message)
    described.enum_type.extend(
        _enum(name, values) for name, values in file.enums.items() if "." not in name
    )
    described.service.extend(_service(name, calls, types) for name, calls in file.services.items())
    return described


def _message(name: str, fields: str, types: _Types) -> DescriptorProto:
    message = DescriptorProto(name=name)
    unions: dict[str, int] = {}
    for text in filter(None, fields.split(", ")):
        place, kind, *mark = text.split()
        field_name, _, number = place.partition("=")
        field = message.field.add(
            name=field_name,
            number=int(number),
            label=FieldDescriptorProto.LABEL_OPTIONAL,
            json_name=camel_case(field_name),
        )
        types.set_type(field, kind)
        if mark == ["*"]:
            field.label = FieldDescriptorProto.LABEL_REPEATED
        elif mark:
            union = mark[0].removeprefix("?")
            if union not in unions:
                unions[union] = len(unions)
                message.oneof_decl.add(name=union)
            field.oneof_index = unions[union]
    return message


def _enum(name: str, values: str) -> EnumDescriptorProto:
    enum = EnumDescriptorProto(name=name)
    for number, value in enumerate(values.split()):
        enum.value.add(name=value, number=number)
    return enum


def _service(name: str, calls: Mapping[str, str], types: _Types) -> ServiceDescriptorProto:
    service = ServiceDescriptorProto(name=name)
    for method, text in calls.items():
        call = call_of(text)
        described = service.method.add(
            name=method,
            input_type=types.full_name(call.request),
            output_type=types.full_name(call.response),
        )
        if call.streams_in:
            described.client_streaming = True
        if call.streams_out:
            described.server_streaming = True
    return service


def repeated_fields(files: Iterable[FileDescriptorProto]) -> frozenset[str]:
    """Return the full names of the fields that are lists.

    A field of a made class tells it by another attribute in every version of protobuf.
    """
    return frozenset(
        f"{file.package}.{message.name}.{field.name}"
        for file in files
        for message in file.message_type
        for field in message.field
        if field.label == FieldDescriptorProto.LABEL_REPEATED
    )


def camel_case(name: str) -> str:
    """Return a field's other name in JSON: a letter after "_" is large, and "_" is left out."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)

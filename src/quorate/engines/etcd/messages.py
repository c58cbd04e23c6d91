"""etcd's messages, made from their public field numbers.

Source: etcd's `api/etcdserverpb/rpc.proto` and `api/mvccpb/kv.proto` (v3.4 and later). Enums
are numbers here. The messages live in a pool of their own, beside whatever other etcd client
the process may have loaded.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE: Final = "etcdserverpb"
_SCALARS: Final = {
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "string": FieldDescriptorProto.TYPE_STRING,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "enum": FieldDescriptorProto.TYPE_INT32,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}
_RANGE_FIELDS: Final = (
    "key=1 bytes, range_end=2 bytes, limit=3 int64, revision=4 int64, sort_order=5 enum, "
    "sort_target=6 enum, serializable=7 bool, keys_only=8 bool, count_only=9 bool, "
    "min_mod_revision=10 int64, max_mod_revision=11 int64, "
    "min_create_revision=12 int64, max_create_revision=13 int64"
)
_COMPARE_FIELDS: Final = (
    "result=1 enum, target=2 enum, key=3 bytes, version=4 int64 ?, create_revision=5 int64 ?, "
    "mod_revision=6 int64 ?, value=7 bytes ?, lease=8 int64 ?, range_end=64 bytes"
)
_MESSAGES: Final = {
    "ResponseHeader": "revision=3 int64",
    "KeyValue": (
        "key=1 bytes, create_revision=2 int64, mod_revision=3 int64, version=4 int64, "
        "value=5 bytes, lease=6 int64"
    ),
    "Event": "type=1 enum, kv=2 KeyValue, prev_kv=3 KeyValue",
    "RangeRequest": _RANGE_FIELDS,
    "RangeResponse": "header=1 ResponseHeader, kvs=2 KeyValue *, more=3 bool, count=4 int64",
    "PutRequest": "key=1 bytes, value=2 bytes, lease=3 int64",
    "PutResponse": "header=1 ResponseHeader",
    "DeleteRangeRequest": "key=1 bytes, range_end=2 bytes",
    "DeleteRangeResponse": "header=1 ResponseHeader, deleted=2 int64",
    "RequestOp": (
        "request_range=1 RangeRequest ?, request_put=2 PutRequest ?, "
        "request_delete_range=3 DeleteRangeRequest ?, request_txn=4 TxnRequest ?"
    ),
    "ResponseOp": (
        "response_range=1 RangeResponse ?, response_put=2 PutResponse ?, "
        "response_delete_range=3 DeleteRangeResponse ?, response_txn=4 TxnResponse ?"
    ),
    "Compare": _COMPARE_FIELDS,
    "TxnRequest": "compare=1 Compare *, success=2 RequestOp *, failure=3 RequestOp *",
    "TxnResponse": "header=1 ResponseHeader, succeeded=2 bool, responses=3 ResponseOp *",
    "CompactionRequest": "revision=1 int64, physical=2 bool",
    "CompactionResponse": "header=1 ResponseHeader",
    "WatchRequest": (
        "create_request=1 WatchCreateRequest ?, cancel_request=2 WatchCancelRequest ?, "
        "progress_request=3 WatchProgressRequest ?"
    ),
    "WatchCreateRequest": (
        "key=1 bytes, range_end=2 bytes, start_revision=3 int64, progress_notify=4 bool, "
        "prev_kv=6 bool, watch_id=7 int64"
    ),
    "WatchCancelRequest": "watch_id=1 int64",
    "WatchProgressRequest": "",
    "WatchResponse": (
        "header=1 ResponseHeader, watch_id=2 int64, created=3 bool, canceled=4 bool, "
        "compact_revision=5 int64, cancel_reason=6 string, events=11 Event *"
    ),
    "LeaseGrantRequest": "TTL=1 int64, ID=2 int64",
    "LeaseGrantResponse": "header=1 ResponseHeader, ID=2 int64, TTL=3 int64, error=4 string",
    "LeaseRevokeRequest": "ID=1 int64",
    "LeaseRevokeResponse": "header=1 ResponseHeader",
    "LeaseKeepAliveRequest": "ID=1 int64",
    "LeaseKeepAliveResponse": "header=1 ResponseHeader, ID=2 int64, TTL=3 int64",
    "LeaseTimeToLiveRequest": "ID=1 int64, keys=2 bool",
    "LeaseTimeToLiveResponse": (
        "header=1 ResponseHeader, ID=2 int64, TTL=3 int64, grantedTTL=4 int64, keys=5 bytes *"
    ),
    "AuthenticateRequest": "name=1 string, password=2 string",
    "AuthenticateResponse": "header=1 ResponseHeader, token=2 string",
}
"""Each field: name=number, type, and then "*" if repeated or "?" if one of a union."""


def _message(name: str, fields: str) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for text in filter(None, fields.split(", ")):
        place, kind, *mark = text.split()
        field_name, _, number = place.partition("=")
        field = message.field.add(
            name=field_name,
            number=int(number),
            label=FieldDescriptorProto.LABEL_OPTIONAL,
        )
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type = FieldDescriptorProto.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{kind}"
        if mark == ["*"]:
            field.label = FieldDescriptorProto.LABEL_REPEATED
        elif mark == ["?"]:
            if not message.oneof_decl:
                message.oneof_decl.add(name="union")
            field.oneof_index = 0
    return message


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="etcd.proto", package=_PACKAGE, syntax="proto3")
    file.message_type.extend(_message(name, fields) for name, fields in _MESSAGES.items())
    pool = DescriptorPool()
    pool.Add(file)
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


MESSAGES: Final = _classes()
"""Message classes by name; a class is made of a table, so its fields have no static types."""

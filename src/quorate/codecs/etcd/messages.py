"""etcd's messages, made from their public field numbers.

They have etcd's own names and packages, and live in a pool of their own, beside whatever other
etcd client the process may have loaded. An enum is a plain number to whoever sets or reads it,
and has names for whoever prints it.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message_factory import GetMessageClass

from quorate.codecs.etcd import auth_fields, cluster_fields, kv_fields
from quorate.codecs.etcd.auth_fields import ACCOUNTS
from quorate.codecs.etcd.concurrency_fields import ELECTION, LOCK
from quorate.codecs.etcd.grpc_fields import HEALTH, REFLECTION
from quorate.codecs.etcd.kv_fields import VALUES
from quorate.codecs.etcd.schema import ProtoFile, describe, repeated_fields

SERVER: Final = ProtoFile(
    path="etcd/api/etcdserverpb/rpc.proto",
    package="etcdserverpb",
    imports=(VALUES.path, ACCOUNTS.path),
    enums=kv_fields.ENUMS | cluster_fields.ENUMS,
    messages=kv_fields.MESSAGES | cluster_fields.MESSAGES | auth_fields.MESSAGES,
    services=kv_fields.SERVICES | cluster_fields.SERVICES | auth_fields.SERVICES,
)
FILES: Final = (VALUES, ACCOUNTS, SERVER, LOCK, ELECTION, HEALTH, REFLECTION)
"""Every file, after those that it imports."""
DESCRIBED: Final = tuple(describe(FILES))
"""The same files as protobuf has them."""
REPEATED: Final = repeated_fields(DESCRIBED)
"""The full names of all fields that are lists."""
POOL: Final = DescriptorPool()
"""The descriptors of everything here."""


def _classes() -> dict[str, Any]:
    for file in DESCRIBED:
        POOL.Add(file)
    return {
        name: GetMessageClass(POOL.FindMessageTypeByName(f"{file.package}.{name}"))
        for file in FILES
        for name in file.messages
    }


MESSAGES: Final = _classes()
"""Message classes by their names without the package, of which no two are equal.

A class is made of a table, so its fields have no static types. The enums of a message are
attributes of its class (`RangeRequest.SortOrder`), and so are their values
(`RangeRequest.DESCEND`).
"""
AlarmType: Final[Any] = EnumTypeWrapper(POOL.FindEnumTypeByName("etcdserverpb.AlarmType"))
"""The one enum that is in no message: `AlarmType.NOSPACE`."""

ResponseHeader: Final[Any] = MESSAGES["ResponseHeader"]
KeyValue: Final[Any] = MESSAGES["KeyValue"]
Event: Final[Any] = MESSAGES["Event"]

RangeRequest: Final[Any] = MESSAGES["RangeRequest"]
RangeResponse: Final[Any] = MESSAGES["RangeResponse"]
PutRequest: Final[Any] = MESSAGES["PutRequest"]
PutResponse: Final[Any] = MESSAGES["PutResponse"]
DeleteRangeRequest: Final[Any] = MESSAGES["DeleteRangeRequest"]
DeleteRangeResponse: Final[Any] = MESSAGES["DeleteRangeResponse"]
TxnRequest: Final[Any] = MESSAGES["TxnRequest"]
TxnResponse: Final[Any] = MESSAGES["TxnResponse"]
Compare: Final[Any] = MESSAGES["Compare"]
RequestOp: Final[Any] = MESSAGES["RequestOp"]
ResponseOp: Final[Any] = MESSAGES["ResponseOp"]
CompactionRequest: Final[Any] = MESSAGES["CompactionRequest"]
CompactionResponse: Final[Any] = MESSAGES["CompactionResponse"]

WatchRequest: Final[Any] = MESSAGES["WatchRequest"]
WatchCreateRequest: Final[Any] = MESSAGES["WatchCreateRequest"]
WatchCancelRequest: Final[Any] = MESSAGES["WatchCancelRequest"]
WatchProgressRequest: Final[Any] = MESSAGES["WatchProgressRequest"]
WatchResponse: Final[Any] = MESSAGES["WatchResponse"]

LeaseGrantRequest: Final[Any] = MESSAGES["LeaseGrantRequest"]
LeaseGrantResponse: Final[Any] = MESSAGES["LeaseGrantResponse"]
LeaseRevokeRequest: Final[Any] = MESSAGES["LeaseRevokeRequest"]
LeaseRevokeResponse: Final[Any] = MESSAGES["LeaseRevokeResponse"]
LeaseKeepAliveRequest: Final[Any] = MESSAGES["LeaseKeepAliveRequest"]
LeaseKeepAliveResponse: Final[Any] = MESSAGES["LeaseKeepAliveResponse"]
LeaseTimeToLiveRequest: Final[Any] = MESSAGES["LeaseTimeToLiveRequest"]
LeaseTimeToLiveResponse: Final[Any] = MESSAGES["LeaseTimeToLiveResponse"]
LeaseLeasesResponse: Final[Any] = MESSAGES["LeaseLeasesResponse"]
LeaseStatus: Final[Any] = MESSAGES["LeaseStatus"]

Member: Final[Any] = MESSAGES["Member"]
AlarmMember: Final[Any] = MESSAGES["AlarmMember"]
StatusResponse: Final[Any] = MESSAGES["StatusResponse"]
SnapshotResponse: Final[Any] = MESSAGES["SnapshotResponse"]
AuthenticateRequest: Final[Any] = MESSAGES["AuthenticateRequest"]
AuthenticateResponse: Final[Any] = MESSAGES["AuthenticateResponse"]
Permission: Final[Any] = MESSAGES["Permission"]
LeaderKey: Final[Any] = MESSAGES["LeaderKey"]
HealthCheckResponse: Final[Any] = MESSAGES["HealthCheckResponse"]

"""Keys, watches and leases: their messages, enums and calls.

Source: etcd's `api/mvccpb/kv.proto` and `api/etcdserverpb/rpc.proto` (3.5). The form of the
tables is that of `schema`.
"""

from __future__ import annotations

from typing import Final

from quorate.codecs.etcd.schema import ProtoFile

VALUES: Final = ProtoFile(
    path="etcd/api/mvccpb/kv.proto",
    package="mvccpb",
    enums={"Event.EventType": "PUT DELETE"},
    messages={
        "KeyValue": (
            "key=1 bytes, create_revision=2 int64, mod_revision=3 int64, version=4 int64, "
            "value=5 bytes, lease=6 int64"
        ),
        "Event": "type=1 Event.EventType, kv=2 KeyValue, prev_kv=3 KeyValue",
    },
)
ENUMS: Final = {
    "RangeRequest.SortOrder": "NONE ASCEND DESCEND",
    "RangeRequest.SortTarget": "KEY VERSION CREATE MOD VALUE",
    "Compare.CompareResult": "EQUAL GREATER LESS NOT_EQUAL",
    "Compare.CompareTarget": "VERSION CREATE MOD VALUE LEASE",
    "WatchCreateRequest.FilterType": "NOPUT NODELETE",
}
MESSAGES: Final = {
    "ResponseHeader": (
        "cluster_id=1 uint64, member_id=2 uint64, revision=3 int64, raft_term=4 uint64"
    ),
    "RangeRequest": (
        "key=1 bytes, range_end=2 bytes, limit=3 int64, revision=4 int64, "
        "sort_order=5 RangeRequest.SortOrder, sort_target=6 RangeRequest.SortTarget, "
        "serializable=7 bool, keys_only=8 bool, count_only=9 bool, min_mod_revision=10 int64, "
        "max_mod_revision=11 int64, min_create_revision=12 int64, max_create_revision=13 int64"
    ),
    "RangeResponse": "header=1 ResponseHeader, kvs=2 KeyValue *, more=3 bool, count=4 int64",
    "PutRequest": (
        "key=1 bytes, value=2 bytes, lease=3 int64, prev_kv=4 bool, ignore_value=5 bool, "
        "ignore_lease=6 bool"
    ),
    "PutResponse": "header=1 ResponseHeader, prev_kv=2 KeyValue",
    "DeleteRangeRequest": "key=1 bytes, range_end=2 bytes, prev_kv=3 bool",
    "DeleteRangeResponse": "header=1 ResponseHeader, deleted=2 int64, prev_kvs=3 KeyValue *",
    "RequestOp": (
        "request_range=1 RangeRequest ?request, request_put=2 PutRequest ?request, "
        "request_delete_range=3 DeleteRangeRequest ?request, request_txn=4 TxnRequest ?request"
    ),
    "ResponseOp": (
        "response_range=1 RangeResponse ?response, response_put=2 PutResponse ?response, "
        "response_delete_range=3 DeleteRangeResponse ?response, "
        "response_txn=4 TxnResponse ?response"
    ),
    "Compare": (
        "result=1 Compare.CompareResult, target=2 Compare.CompareTarget, key=3 bytes, "
        "version=4 int64 ?target_union, create_revision=5 int64 ?target_union, "
        "mod_revision=6 int64 ?target_union, value=7 bytes ?target_union, "
        "lease=8 int64 ?target_union, range_end=64 bytes"
    ),
    "TxnRequest": "compare=1 Compare *, success=2 RequestOp *, failure=3 RequestOp *",
    "TxnResponse": "header=1 ResponseHeader, succeeded=2 bool, responses=3 ResponseOp *",
    "CompactionRequest": "revision=1 int64, physical=2 bool",
    "CompactionResponse": "header=1 ResponseHeader",
    "WatchRequest": (
        "create_request=1 WatchCreateRequest ?request_union, "
        "cancel_request=2 WatchCancelRequest ?request_union, "
        "progress_request=3 WatchProgressRequest ?request_union"
    ),
    "WatchCreateRequest": (
        "key=1 bytes, range_end=2 bytes, start_revision=3 int64, progress_notify=4 bool, "
        "filters=5 WatchCreateRequest.FilterType *, prev_kv=6 bool, watch_id=7 int64, "
        "fragment=8 bool"
    ),
    "WatchCancelRequest": "watch_id=1 int64",
    "WatchProgressRequest": "",
    "WatchResponse": (
        "header=1 ResponseHeader, watch_id=2 int64, created=3 bool, canceled=4 bool, "
        "compact_revision=5 int64, cancel_reason=6 string, fragment=7 bool, events=11 Event *"
    ),
    "LeaseGrantRequest": "TTL=1 int64, ID=2 int64",
    "LeaseGrantResponse": "header=1 ResponseHeader, ID=2 int64, TTL=3 int64, error=4 string",
    "LeaseRevokeRequest": "ID=1 int64",
    "LeaseRevokeResponse": "header=1 ResponseHeader",
    "LeaseCheckpoint": "ID=1 int64, remaining_TTL=2 int64",
    "LeaseCheckpointRequest": "checkpoints=1 LeaseCheckpoint *",
    "LeaseCheckpointResponse": "header=1 ResponseHeader",
    "LeaseKeepAliveRequest": "ID=1 int64",
    "LeaseKeepAliveResponse": "header=1 ResponseHeader, ID=2 int64, TTL=3 int64",
    "LeaseTimeToLiveRequest": "ID=1 int64, keys=2 bool",
    "LeaseTimeToLiveResponse": (
        "header=1 ResponseHeader, ID=2 int64, TTL=3 int64, grantedTTL=4 int64, keys=5 bytes *"
    ),
    "LeaseLeasesRequest": "",
    "LeaseStatus": "ID=1 int64",
    "LeaseLeasesResponse": "header=1 ResponseHeader, leases=2 LeaseStatus *",
}
SERVICES: Final = {
    "KV": {
        "Range": "RangeRequest RangeResponse /v3/kv/range",
        "Put": "PutRequest PutResponse /v3/kv/put",
        "DeleteRange": "DeleteRangeRequest DeleteRangeResponse /v3/kv/deleterange",
        "Txn": "TxnRequest TxnResponse /v3/kv/txn",
        "Compact": "CompactionRequest CompactionResponse /v3/kv/compaction",
    },
    "Watch": {
        "Watch": "*WatchRequest *WatchResponse /v3/watch",
    },
    "Lease": {
        "LeaseGrant": "LeaseGrantRequest LeaseGrantResponse /v3/lease/grant",
        "LeaseRevoke": (
            "LeaseRevokeRequest LeaseRevokeResponse /v3/lease/revoke /v3/kv/lease/revoke"
        ),
        "LeaseKeepAlive": "*LeaseKeepAliveRequest *LeaseKeepAliveResponse /v3/lease/keepalive",
        "LeaseTimeToLive": (
            "LeaseTimeToLiveRequest LeaseTimeToLiveResponse "
            "/v3/lease/timetolive /v3/kv/lease/timetolive"
        ),
        "LeaseLeases": (
            "LeaseLeasesRequest LeaseLeasesResponse /v3/lease/leases /v3/kv/lease/leases"
        ),
    },
}

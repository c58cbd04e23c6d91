"""Members and their upkeep: the messages, enums and calls.

Source: etcd's `api/etcdserverpb/rpc.proto` (3.5), but that `HashKV` has a path of HTTP of its own,
as in 3.6; 3.5 gives it that of `Hash` by mistake. The form of the tables is that of `schema`.
"""

from __future__ import annotations

from typing import Final

ENUMS: Final = {
    "AlarmType": "NONE NOSPACE CORRUPT",
    "AlarmRequest.AlarmAction": "GET ACTIVATE DEACTIVATE",
    "DowngradeRequest.DowngradeAction": "VALIDATE ENABLE CANCEL",
}
MESSAGES: Final = {
    "HashRequest": "",
    "HashKVRequest": "revision=1 int64",
    "HashKVResponse": "header=1 ResponseHeader, hash=2 uint32, compact_revision=3 int64",
    "HashResponse": "header=1 ResponseHeader, hash=2 uint32",
    "SnapshotRequest": "",
    "SnapshotResponse": "header=1 ResponseHeader, remaining_bytes=2 uint64, blob=3 bytes",
    "Member": (
        "ID=1 uint64, name=2 string, peerURLs=3 string *, clientURLs=4 string *, isLearner=5 bool"
    ),
    "MemberAddRequest": "peerURLs=1 string *, isLearner=2 bool",
    "MemberAddResponse": "header=1 ResponseHeader, member=2 Member, members=3 Member *",
    "MemberRemoveRequest": "ID=1 uint64",
    "MemberRemoveResponse": "header=1 ResponseHeader, members=2 Member *",
    "MemberUpdateRequest": "ID=1 uint64, peerURLs=2 string *",
    "MemberUpdateResponse": "header=1 ResponseHeader, members=2 Member *",
    "MemberListRequest": "linearizable=1 bool",
    "MemberListResponse": "header=1 ResponseHeader, members=2 Member *",
    "MemberPromoteRequest": "ID=1 uint64",
    "MemberPromoteResponse": "header=1 ResponseHeader, members=2 Member *",
    "DefragmentRequest": "",
    "DefragmentResponse": "header=1 ResponseHeader",
    "MoveLeaderRequest": "targetID=1 uint64",
    "MoveLeaderResponse": "header=1 ResponseHeader",
    "AlarmRequest": "action=1 AlarmRequest.AlarmAction, memberID=2 uint64, alarm=3 AlarmType",
    "AlarmMember": "memberID=1 uint64, alarm=2 AlarmType",
    "AlarmResponse": "header=1 ResponseHeader, alarms=2 AlarmMember *",
    "DowngradeRequest": "action=1 DowngradeRequest.DowngradeAction, version=2 string",
    "DowngradeResponse": "header=1 ResponseHeader, version=2 string",
    "StatusRequest": "",
    "StatusResponse": (
        "header=1 ResponseHeader, version=2 string, dbSize=3 int64, leader=4 uint64, "
        "raftIndex=5 uint64, raftTerm=6 uint64, raftAppliedIndex=7 uint64, errors=8 string *, "
        "dbSizeInUse=9 int64, isLearner=10 bool"
    ),
}
SERVICES: Final = {
    "Cluster": {
        "MemberAdd": "MemberAddRequest MemberAddResponse /v3/cluster/member/add",
        "MemberRemove": "MemberRemoveRequest MemberRemoveResponse /v3/cluster/member/remove",
        "MemberUpdate": "MemberUpdateRequest MemberUpdateResponse /v3/cluster/member/update",
        "MemberList": "MemberListRequest MemberListResponse /v3/cluster/member/list",
        "MemberPromote": "MemberPromoteRequest MemberPromoteResponse /v3/cluster/member/promote",
    },
    "Maintenance": {
        "Alarm": "AlarmRequest AlarmResponse /v3/maintenance/alarm",
        "Status": "StatusRequest StatusResponse /v3/maintenance/status",
        "Defragment": "DefragmentRequest DefragmentResponse /v3/maintenance/defragment",
        "Hash": "HashRequest HashResponse /v3/maintenance/hash",
        "HashKV": "HashKVRequest HashKVResponse /v3/maintenance/hashkv",
        "Snapshot": "SnapshotRequest *SnapshotResponse /v3/maintenance/snapshot",
        "MoveLeader": "MoveLeaderRequest MoveLeaderResponse /v3/maintenance/transfer-leadership",
        "Downgrade": "DowngradeRequest DowngradeResponse /v3/maintenance/downgrade",
    },
}

"""Locks and elections that a server does for its client: the messages and calls.

Source: etcd's `v3lockpb/v3lock.proto` and `v3electionpb/v3election.proto` (3.5, under
`server/etcdserver/api`). The form of the tables is that of `schema`.
"""

from __future__ import annotations

from typing import Final

from quorate.codecs.etcd.schema import ProtoFile

_API: Final = "etcd/server/etcdserver/api"
_RPC: Final = "etcd/api/etcdserverpb/rpc.proto"

LOCK: Final = ProtoFile(
    path=f"{_API}/v3lock/v3lockpb/v3lock.proto",
    package="v3lockpb",
    imports=(_RPC,),
    messages={
        "LockRequest": "name=1 bytes, lease=2 int64",
        "LockResponse": "header=1 ResponseHeader, key=2 bytes",
        "UnlockRequest": "key=1 bytes",
        "UnlockResponse": "header=1 ResponseHeader",
    },
    services={
        "Lock": {
            "Lock": "LockRequest LockResponse /v3/lock/lock",
            "Unlock": "UnlockRequest UnlockResponse /v3/lock/unlock",
        },
    },
)
ELECTION: Final = ProtoFile(
    path=f"{_API}/v3election/v3electionpb/v3election.proto",
    package="v3electionpb",
    imports=(_RPC, "etcd/api/mvccpb/kv.proto"),
    messages={
        "CampaignRequest": "name=1 bytes, lease=2 int64, value=3 bytes",
        "CampaignResponse": "header=1 ResponseHeader, leader=2 LeaderKey",
        "LeaderKey": "name=1 bytes, key=2 bytes, rev=3 int64, lease=4 int64",
        "LeaderRequest": "name=1 bytes",
        "LeaderResponse": "header=1 ResponseHeader, kv=2 KeyValue",
        "ResignRequest": "leader=1 LeaderKey",
        "ResignResponse": "header=1 ResponseHeader",
        "ProclaimRequest": "leader=1 LeaderKey, value=2 bytes",
        "ProclaimResponse": "header=1 ResponseHeader",
    },
    services={
        "Election": {
            "Campaign": "CampaignRequest CampaignResponse /v3/election/campaign",
            "Proclaim": "ProclaimRequest ProclaimResponse /v3/election/proclaim",
            "Leader": "LeaderRequest LeaderResponse /v3/election/leader",
            "Observe": "LeaderRequest *LeaderResponse /v3/election/observe",
            "Resign": "ResignRequest ResignResponse /v3/election/resign",
        },
    },
)

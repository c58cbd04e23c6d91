"""The table of calls: etcd's own, one path for gRPC and those of HTTP."""

from __future__ import annotations

from quorate.codecs.etcd.messages import MESSAGES
from quorate.codecs.etcd.services import RPCS, RPCS_BY_HTTP_PATH, SERVICES, Rpc

from .definitions import definitions, http_paths

CORRECTED = "/etcdserverpb.Maintenance/HashKV"
"""In 3.5 its path of HTTP is that of another call."""


def test_json_is_posted_where_etcd_takes_it() -> None:
    theirs = {
        f"/{file.package}.{service.name}/{method.name}": http_paths(method)
        for file in (definitions()[f"{name}.proto"] for name in ("rpc", "v3lock", "v3election"))
        for service in file.service
        for method in service.method
    }
    assert theirs.pop(CORRECTED) == ("/v3/maintenance/hash",)
    mine = {path: rpc.http_paths for path, rpc in RPCS.items() if rpc.http_paths}
    assert mine.pop(CORRECTED) == ("/v3/maintenance/hashkv",)
    assert mine == theirs


def test_a_call_may_be_reached_under_two_paths_and_no_path_means_two_calls() -> None:
    revoke = RPCS["/etcdserverpb.Lease/LeaseRevoke"]
    assert revoke.http_paths == ("/v3/lease/revoke", "/v3/kv/lease/revoke")
    assert {RPCS_BY_HTTP_PATH[path] for path in revoke.http_paths} == {revoke}
    assert len(RPCS_BY_HTTP_PATH) == sum(len(rpc.http_paths) for rpc in RPCS.values())


def test_a_call_knows_its_messages_and_its_streams() -> None:
    assert RPCS["/etcdserverpb.KV/Compact"] == Rpc(
        "/etcdserverpb.KV/Compact",
        MESSAGES["CompactionRequest"],
        MESSAGES["CompactionResponse"],
        streams_in=False,
        streams_out=False,
        http_paths=("/v3/kv/compaction",),
    )
    streams = {path: (rpc.streams_in, rpc.streams_out) for path, rpc in RPCS.items()}
    assert {path: flow for path, flow in streams.items() if any(flow)} == {
        "/etcdserverpb.Watch/Watch": (True, True),
        "/etcdserverpb.Lease/LeaseKeepAlive": (True, True),
        "/etcdserverpb.Maintenance/Snapshot": (False, True),
        "/v3electionpb.Election/Observe": (False, True),
        "/grpc.health.v1.Health/Watch": (False, True),
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": (True, True),
    }


def test_a_call_tells_its_service_and_its_method() -> None:
    rpc = RPCS["/grpc.health.v1.Health/Check"]
    assert (rpc.service, rpc.method, rpc.http_paths) == ("grpc.health.v1.Health", "Check", ())
    assert SERVICES == (
        "etcdserverpb.KV",
        "etcdserverpb.Watch",
        "etcdserverpb.Lease",
        "etcdserverpb.Cluster",
        "etcdserverpb.Maintenance",
        "etcdserverpb.Auth",
        "v3lockpb.Lock",
        "v3electionpb.Election",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    )

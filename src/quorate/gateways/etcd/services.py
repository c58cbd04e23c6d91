"""Which call of etcd's API is served by what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from quorate.codecs.etcd.messages import MESSAGES
from quorate.codecs.etcd.reflection import reflect
from quorate.codecs.etcd.services import RPCS
from quorate.engines.cluster import ClusterStore
from quorate.errors import QuorateError
from quorate.gateways.etcd.accounts import AuthService
from quorate.gateways.etcd.cluster import ClusterService
from quorate.gateways.etcd.electing import ElectionService
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.kv import KvService
from quorate.gateways.etcd.leasing import LeaseService
from quorate.gateways.etcd.local import LocalNode
from quorate.gateways.etcd.locking import LockService
from quorate.gateways.etcd.maintenance import MaintenanceService
from quorate.gateways.etcd.neighbours import Neighbours
from quorate.gateways.etcd.refusals import rpc_error
from quorate.gateways.etcd.watching import WatchStream
from quorate.gateways.grpc.methods import Call, StreamCall, StreamMethod, UnaryMethod

Unary: TypeAlias = Callable[[Any], Awaitable[Any]]
Streaming: TypeAlias = Callable[[StreamCall], Awaitable[None]]
Methods: TypeAlias = Mapping[str, UnaryMethod | StreamMethod]
SERVING: Final = 1


def methods_of(
    store: ClusterStore, node: LocalNode, neighbours: Neighbours, scheme: str
) -> Methods:
    """Return every call that a node serves, by its path. `scheme` is that of members' URLs."""
    status = node.status()
    headers = Headers(status.cluster_id, status.node_id, node.term)
    kv = KvService(store, headers)
    lease = LeaseService(store, headers)
    cluster = ClusterService(store, headers, neighbours, scheme)
    maintenance = MaintenanceService(store, headers, node, neighbours)
    auth = AuthService(headers)
    lock = LockService(store, headers)
    election = ElectionService(store, headers)

    async def watch(call: StreamCall) -> None:
        await WatchStream(call, store, headers).run()

    unary: dict[str, Unary] = {
        "etcdserverpb.KV/Range": kv.range,
        "etcdserverpb.KV/Put": kv.put,
        "etcdserverpb.KV/DeleteRange": kv.delete_range,
        "etcdserverpb.KV/Txn": kv.transaction,
        "etcdserverpb.KV/Compact": kv.compact,
        "etcdserverpb.Lease/LeaseGrant": lease.grant,
        "etcdserverpb.Lease/LeaseRevoke": lease.revoke,
        "etcdserverpb.Lease/LeaseTimeToLive": lease.time_to_live,
        "etcdserverpb.Lease/LeaseLeases": lease.leases,
        "etcdserverpb.Cluster/MemberAdd": cluster.add,
        "etcdserverpb.Cluster/MemberRemove": cluster.remove,
        "etcdserverpb.Cluster/MemberUpdate": cluster.update,
        "etcdserverpb.Cluster/MemberList": cluster.list,
        "etcdserverpb.Cluster/MemberPromote": cluster.promote,
        "etcdserverpb.Maintenance/Alarm": maintenance.alarm,
        "etcdserverpb.Maintenance/Status": maintenance.status,
        "etcdserverpb.Maintenance/Defragment": maintenance.defragment,
        "etcdserverpb.Maintenance/Hash": maintenance.hash,
        "etcdserverpb.Maintenance/HashKV": maintenance.hash_kv,
        "etcdserverpb.Maintenance/MoveLeader": maintenance.move_leader,
        "etcdserverpb.Maintenance/Downgrade": maintenance.downgrade,
        "etcdserverpb.Auth/AuthStatus": auth.status,
        "etcdserverpb.Auth/Authenticate": auth.authenticate,
        "v3lockpb.Lock/Lock": lock.lock,
        "v3lockpb.Lock/Unlock": lock.unlock,
        "v3electionpb.Election/Campaign": election.campaign,
        "v3electionpb.Election/Proclaim": election.proclaim,
        "v3electionpb.Election/Leader": election.leader,
        "v3electionpb.Election/Resign": election.resign,
        "grpc.health.v1.Health/Check": _healthy,
    }
    streaming: dict[str, Streaming] = {
        "etcdserverpb.Watch/Watch": watch,
        "etcdserverpb.Lease/LeaseKeepAlive": lease.keep_alive,
        "etcdserverpb.Maintenance/Snapshot": maintenance.snapshot,
        "v3electionpb.Election/Observe": election.observe,
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _reflection,
    }
    methods: dict[str, UnaryMethod | StreamMethod] = {}
    for name, handler in unary.items():
        rpc = RPCS[f"/{name}"]
        decode, encode = rpc.request.FromString, rpc.response.SerializeToString
        methods[rpc.path] = UnaryMethod(decode, encode, _answering(handler))
    for name, serving in streaming.items():
        rpc = RPCS[f"/{name}"]
        decode, encode = rpc.request.FromString, rpc.response.SerializeToString
        methods[rpc.path] = StreamMethod(decode, encode, _streaming(serving))
    return methods


def _answering(method: Unary) -> Callable[[Any, Call], Awaitable[Any]]:
    async def handler(request: Any, _: Call) -> Any:
        try:
            return await method(request)
        except QuorateError as error:
            raise rpc_error(error) from error

    return handler


def _streaming(method: Streaming) -> Streaming:
    async def handler(call: StreamCall) -> None:
        try:
            await method(call)
        except QuorateError as error:
            raise rpc_error(error) from error

    return handler


async def _healthy(_: Any) -> Any:
    return MESSAGES["HealthCheckResponse"](status=SERVING)


async def _reflection(call: StreamCall) -> None:
    while (request := await call.receive()) is not None:
        await call.send(reflect(request))

"""etcd's HTTP side: its API as JSON, and what operators' tools ask.

A call is posted to its path as JSON. A stream of requests is the body, one value after the
other; a stream of responses comes in pieces, one line each, for as long as the client stays.
Source: etcd 3.5's answers, and `server/etcdserver/api/etcdhttp`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from aiohttp import web

from quorate.codecs.etcd.failures import Failure
from quorate.codecs.etcd.json_mapping import (
    each_from_json,
    error_json,
    from_json,
    http_status,
    stream_error_json,
    stream_json,
    to_json,
)
from quorate.codecs.etcd.services import RPCS, Rpc
from quorate.errors import InvalidRequest
from quorate.gateways.etcd.local import LocalNode
from quorate.gateways.etcd.maintenance import ETCD_VERSION
from quorate.gateways.grpc.codes import Code, RpcError
from quorate.gateways.grpc.methods import Peer, StreamMethod, UnaryMethod

JSON: Final = "application/json"
PROMETHEUS: Final = "text/plain; version=0.0.4"
CLUSTER_VERSION: Final = "3.5.0"
OLDER_PREFIXES: Final = ("/v3beta/", "/v3alpha/")


def application_of(
    methods: Mapping[str, UnaryMethod | StreamMethod], node: LocalNode
) -> web.Application:
    """Return what answers HTTP/1.1 on etcd's port."""
    application = web.Application(client_max_size=2 * 1024 * 1024)
    pages = Pages(node)
    application.router.add_get("/health", pages.health)
    application.router.add_get("/livez", pages.alive)
    application.router.add_get("/readyz", pages.ready)
    application.router.add_get("/version", pages.version)
    application.router.add_get("/metrics", pages.metrics)
    for rpc in RPCS.values():
        method = methods.get(rpc.path)
        if method is None:
            continue
        handler = _unary(rpc, method) if isinstance(method, UnaryMethod) else _stream(rpc, method)
        for path in rpc.http_paths:
            for prefix in ("/v3/", *OLDER_PREFIXES):
                application.router.add_post(path.replace("/v3/", prefix, 1), handler)
    return application


class _JsonCall:
    """A call whose requests are the body of a POST."""

    def __init__(
        self, request: web.Request, requests: Iterator[Any], response: web.StreamResponse
    ) -> None:
        self._request = request
        self._requests = requests
        self._response = response

    @property
    def metadata(self) -> Mapping[str, str]:
        """The headers, by their names in lower case."""
        return {name.lower(): value for name, value in self._request.headers.items()}

    @property
    def peer(self) -> Peer:
        """Who calls."""
        return Peer(self._request.remote or "", "")

    @property
    def deadline(self) -> float | None:
        """HTTP has none."""
        return None

    async def receive(self) -> Any | None:
        """Return the next value of the body."""
        try:
            return next(self._requests, None)
        except InvalidRequest as error:
            raise RpcError(Code.INVALID_ARGUMENT, str(error)) from None

    async def send(self, message: Any) -> None:
        """Send one line."""
        if not self._response.prepared:
            await self._response.prepare(self._request)
        await self._response.write(stream_json(message))


def _unary(rpc: Rpc, method: UnaryMethod) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        try:
            message = from_json(rpc.request, await request.read())
        except InvalidRequest as error:
            return _refused(Failure(Code.INVALID_ARGUMENT, str(error)))
        call = _JsonCall(request, iter(()), web.StreamResponse())
        try:
            answer = await method.handler(message, call)
        except RpcError as error:
            return _refused(Failure(error.code, error.message))
        return web.Response(body=to_json(answer), content_type=JSON)

    return handler


def _stream(
    rpc: Rpc, method: StreamMethod
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": JSON})
        response.enable_chunked_encoding()
        requests = each_from_json(rpc.request, await request.read())
        call = _JsonCall(request, requests, response)
        try:
            await method.handler(call)
        except RpcError as error:
            failure = Failure(error.code, error.message)
            if not response.prepared:
                return _refused(failure)
            await response.write(stream_error_json(failure) + b"\n")
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        return response

    return handler


def _refused(failure: Failure) -> web.Response:
    return web.Response(
        body=error_json(failure), status=http_status(failure.code), content_type=JSON
    )


class Pages:
    """What operators' tools ask of a node."""

    def __init__(self, node: LocalNode) -> None:
        self._node = node

    async def health(self, _: web.Request) -> web.Response:
        """Tell whether the node works, and its cluster has a leader."""
        reason = ""
        status = self._node.status()
        if not status.leader:
            reason = "RAFT NO LEADER"
        elif not status.healthy:
            reason = "UNHEALTHY"
        body = {"health": "false" if reason else "true", "reason": reason}
        return web.json_response(body, status=503 if reason else 200)

    async def alive(self, _: web.Request) -> web.Response:
        """Tell that the process runs."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Tell whether the node can serve."""
        ready = self._node.status().healthy and bool(self._node.status().leader)
        return web.Response(text="ok\n" if ready else "no leader\n", status=200 if ready else 503)

    async def version(self, _: web.Request) -> web.Response:
        """Tell which of etcd's APIs this is."""
        return web.json_response({"etcdserver": ETCD_VERSION, "etcdcluster": CLUSTER_VERSION})

    async def metrics(self, _: web.Request) -> web.Response:
        """Return the figures that etcd's dashboards look for and that mean something here."""
        status = self._node.status()
        figures = {
            "etcd_server_has_leader": ("gauge", bool(status.leader)),
            "etcd_server_is_leader": ("gauge", status.leader == status.node_id),
            "etcd_server_is_learner": ("gauge", self._node.is_learner),
            "etcd_server_proposals_committed_total": ("gauge", status.commit_index),
            "etcd_server_proposals_applied_total": ("gauge", status.applied_index),
            "etcd_mvcc_db_total_size_in_bytes": ("gauge", status.store_bytes),
            "etcd_mvcc_db_total_size_in_use_in_bytes": ("gauge", status.store_bytes),
            "etcd_server_quota_backend_bytes": ("gauge", self._node.quota_bytes),
        }
        lines = []
        for name, (kind, value) in figures.items():
            lines += [f"# TYPE {name} {kind}", f"{name} {int(value)}"]
        return web.Response(
            body="\n".join(lines).encode() + b"\n", headers={"Content-Type": PROMETHEUS}
        )

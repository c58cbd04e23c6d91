"""A gateway in the process of its node: etcd's API on a port of its own.

It is a client of the cluster like any other, so any node serves any request; only what etcd
asks of a member itself (its status, its hash) it takes from its own node. It keeps no state but
the connections of its clients.
"""

from __future__ import annotations

from typing import Final

from quorate.engines.cluster import ClusterStore
from quorate.gateways.etcd.http import application_of
from quorate.gateways.etcd.local import LocalNode
from quorate.gateways.etcd.neighbours import Neighbours
from quorate.gateways.etcd.services import methods_of
from quorate.gateways.grpc.server import GrpcServer
from quorate.node.config import split_address
from quorate.node.node import Node
from quorate.runtime.transport.address import join_address

TIMEOUT_SECONDS: Final = 7.0
"""What a request may take when the cluster has no leader: etcd's, with its usual timings."""


class EtcdGateway:
    """Serves etcd's clients for a node, at `config.etcd` and under the node's own TLS."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._store: ClusterStore | None = None
        self._server: GrpcServer | None = None

    async def start(self) -> None:
        """Listen; the node must have started. Raises OSError."""
        config = self._node.config
        host, port = split_address(config.etcd)
        local = LocalNode(self._node)
        store = ClusterStore([config.address], tls=config.tls, timeout=TIMEOUT_SECONDS)
        neighbours = Neighbours(local.status().cluster_id, config.tls)
        methods = methods_of(store, local, neighbours, "https" if config.tls else "http")
        server = GrpcServer(methods, http=application_of(methods, local), tls=config.tls)
        self._store, self._server = store, server
        await server.start(host, port)
        self._node.etcd = join_address(host, server.port)

    async def close(self) -> None:
        """Let calls end for a moment, and stop."""
        self._node.etcd = ""
        if self._server is not None:
            await self._server.close()
        if self._store is not None:
            await self._store.close()

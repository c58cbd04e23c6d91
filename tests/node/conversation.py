"""A node in this process, and a raw connection to it: frames out, responses in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from quorate.cli.processes import free_ports
from quorate.engines.cluster.probe import probe
from quorate.errors import ConnectionLost, TransportError
from quorate.kv.requests import Response, WatchEvents, decode_response, encode
from quorate.node import Node, NodeConfig
from quorate.runtime.network import RealNetwork
from quorate.runtime.transport.connection import Connection, ConnectionLimits
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import PROTOCOL_VERSION, Hello
from quorate.store.limits import Limits

MEBIBYTE = 1024 * 1024


@contextlib.asynccontextmanager
async def serving(
    directory: Path, *others: str, limits: Limits | None = None
) -> AsyncIterator[Node]:
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    config = NodeConfig(
        name="a", data_dir=str(directory), listen=address, peers=(f"a={address}", *others)
    )
    node = Node(config, limits)
    await node.start()
    try:
        yield node
        assert not node.failed.done()
    finally:
        await node.stop()


class Conversation:
    """A raw connection to a node: frames out, responses in."""

    def __init__(self) -> None:
        self.responses: asyncio.Queue[Response | None] = asyncio.Queue()
        self.connection: Connection

    @classmethod
    async def open(cls, address: str, hello: Hello) -> Conversation:
        self = cls()
        dialer = Dialer(RealNetwork(), None, ConnectionLimits(frame_bytes=64 * MEBIBYTE))
        self.connection, _ = await dialer.dial(
            address, hello, on_frames=self._on_frames, on_lost=self._on_lost
        )
        return self

    def _on_frames(self, _: Connection, frames: list[bytes]) -> None:
        for frame in frames:
            self.responses.put_nowait(decode_response(frame))

    def _on_lost(self, _: Connection, __: TransportError) -> None:
        self.responses.put_nowait(None)

    async def ask(self, request: Any) -> Response:
        """Send a request and return the answer to it."""
        self.connection.send(encode(request))
        async with asyncio.timeout(20):
            while True:
                response = await self.responses.get()
                if response is None:
                    raise ConnectionLost("the node hung up")
                if not isinstance(response, WatchEvents) and response.id == request.id:
                    return response

    async def close(self) -> None:
        self.connection.close("all is said")
        await self.connection.wait_lost()


async def introduce(node: Node) -> Conversation:
    """Connect as a client once the node leads."""
    address = node.config.address
    async with asyncio.timeout(20):
        while (await probe(address, 0)).role != "leader":  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.05)
    return await Conversation.open(address, Hello(PROTOCOL_VERSION))

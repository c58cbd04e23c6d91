"""What the transport tests share: loops, a listener that records, certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trustme
import uvloop

from quorate.errors import TransportError
from quorate.runtime.network import RealNetwork
from quorate.runtime.transport.connection import Connection, ConnectionLimits
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import (
    PROTOCOL_VERSION,
    Answer,
    Hello,
    Role,
    Welcome,
    judge_hello,
)
from quorate.runtime.transport.server import Listener, Reception
from quorate.runtime.transport.tls import TlsConfig

CLUSTER = 0xC0FFEE
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def run(loop_name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on a loop of that kind; nothing may reach the loop's exception handler."""
    complaints: list[dict[str, Any]] = []

    async def bounded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, c: complaints.append(c))
        async with asyncio.timeout(30):
            await main()

    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        runner.run(bounded())
    assert complaints == []


def hello(
    role: Role = Role.CLIENT,
    *,
    version: int = PROTOCOL_VERSION,
    cluster_id: int = CLUSTER,
    node_id: int = 0,
) -> Hello:
    return Hello(version, role, cluster_id, node_id, 0, "127.0.0.1:1", b"secret")


class Desk:
    """A reception that records everything and echoes what clients send."""

    def __init__(self, node_id: int = 1, members: tuple[int, ...] = (1, 2, 3)) -> None:
        self.node_id = node_id
        self.members = members
        self.opened: asyncio.Queue[tuple[Connection, Hello]] = asyncio.Queue()
        self.lost: asyncio.Queue[tuple[Connection, TransportError]] = asyncio.Queue()
        self.peer: asyncio.Queue[tuple[int, list[bytes]]] = asyncio.Queue()
        self.bulk: asyncio.Queue[tuple[int, list[bytes]]] = asyncio.Queue()
        self.names: list[tuple[str, ...]] = []

    def reception(self) -> Reception:
        return Reception(
            welcome=self.welcome,
            on_open=self.on_open,
            on_peer_frames=lambda node, frames: self.peer.put_nowait((node, frames)),
            on_bulk_frames=lambda node, frames: self.bulk.put_nowait((node, frames)),
            on_lost=lambda connection, error: self.lost.put_nowait((connection, error)),
        )

    def welcome(self, hello: Hello, connection: Connection) -> Answer:
        self.names.append(connection.peer_names)
        refusal = judge_hello(hello, cluster_id=CLUSTER, is_member=self.members.__contains__)
        return refusal or Welcome(PROTOCOL_VERSION, CLUSTER, self.node_id, 0, 7, "")

    def on_open(self, connection: Connection, hello: Hello) -> None:
        if hello.role is Role.CLIENT:
            connection.on_frames = echo
        self.opened.put_nowait((connection, hello))


def echo(connection: Connection, frames: list[bytes]) -> None:
    for frame in frames:
        connection.send(frame)


@asynccontextmanager
async def listening(
    desk: Desk,
    *,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    limits: ConnectionLimits | None = None,
    maximum_connections: int = 100,
) -> AsyncIterator[Listener]:
    listener = Listener(
        RealNetwork(), desk.reception(), limits=limits, maximum_connections=maximum_connections
    )
    await listener.start("127.0.0.1", port, tls=tls)
    try:
        yield listener
    finally:
        await listener.close()


class Caller:
    """A dialling side that records."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, limits: ConnectionLimits | None = None
    ) -> None:
        self.dialer = Dialer(RealNetwork(), tls, limits or ConnectionLimits())
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.lost: asyncio.Queue[TransportError] = asyncio.Queue()

    async def dial(self, port: int, said: Hello | None = None) -> tuple[Connection, Welcome]:
        def keep(_: Connection, frames: list[bytes]) -> None:
            for frame in frames:
                self.frames.put_nowait(frame)

        return await self.dialer.dial(
            f"127.0.0.1:{port}",
            said or hello(),
            on_frames=keep,
            on_lost=lambda _, error: self.lost.put_nowait(error),
        )


async def hang_up(connection: Connection) -> None:
    connection.close("the test is over")
    await connection.wait_lost()


def write_certificate(directory: Path, authority: trustme.CA, name: str) -> TlsConfig:
    """(Re)place the three files of one node."""
    directory.mkdir(exist_ok=True)
    issued = authority.issue_cert("127.0.0.1", common_name=name)
    paths = [directory / part for part in ("node.pem", "node.key", "authority.pem")]
    issued.cert_chain_pems[0].write_to_path(paths[0])
    issued.private_key_pem.write_to_path(paths[1])
    authority.cert_pem.write_to_path(paths[2])
    return TlsConfig(*(str(path) for path in paths))

"""Asks one node how it is, whether it leads or not."""

from __future__ import annotations

import asyncio

from quorate.errors import TransportError, Unavailable
from quorate.kv.requests import AskStatus, Status, decode_response, encode
from quorate.runtime.network import RealNetwork
from quorate.runtime.transport.connection import Connection, ConnectionLimits
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import PROTOCOL_VERSION, Hello, Role
from quorate.runtime.transport.tls import ReloadingContext, TlsConfig

FRAME_BYTES_MAX = 1024 * 1024


async def probe(
    address: str, cluster_id: int, *, tls: TlsConfig | None = None, patience: float = 1.0
) -> Status:
    """Return a node's status; raises a TransportError or Unavailable after `patience` seconds."""
    answer: asyncio.Future[Status] = asyncio.get_running_loop().create_future()

    def on_frames(_: Connection, frames: list[bytes]) -> None:
        for frame in frames:
            response = decode_response(frame)
            if isinstance(response, Status) and not answer.done():
                answer.set_result(response)

    def on_lost(_: Connection, error: TransportError) -> None:
        if not answer.done():
            answer.set_exception(error)

    dialer = Dialer(
        RealNetwork(),
        ReloadingContext.for_client(tls) if tls else None,
        ConnectionLimits(frame_bytes=FRAME_BYTES_MAX, handshake_seconds=patience),
    )
    hello = Hello(PROTOCOL_VERSION, Role.CLIENT, cluster_id)
    connection, _ = await dialer.dial(address, hello, on_frames=on_frames, on_lost=on_lost)
    try:
        connection.send(encode(AskStatus(1)))
        async with asyncio.timeout(patience):
            return await answer
    except TimeoutError:
        raise Unavailable(f"{address} did not answer within {patience} s") from None
    finally:
        connection.close("the question is answered")
        await connection.wait_lost()

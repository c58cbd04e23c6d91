"""The real network: the only file that asks the event loop for sockets.

Law: nothing here retries, names errors or knows what the bytes mean. `OSError` goes up as
it came (`ssl.SSLError` is one), so that the caller can say what to do about it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from quorate.runtime.ports import Listening

BACKLOG = 1024
TLS_HANDSHAKE_SECONDS = 5.0

SILENCE_MILLISECONDS = 15_000
"""How long data may stay unacknowledged before the kernel gives the connection up.

A machine that lost power sends no reset. Without this bound its peers would go on writing
into the old connection, and retransmit ever more rarely, long after it came back.
"""
KEEPALIVE_SECONDS = 5
"""After how much silence the kernel asks whether the other side is still there.

Whoever only listens, as a watch does, has nothing unacknowledged.
"""


class RealListening:
    """A listening socket of the operating system."""

    def __init__(self, server: asyncio.Server, port: int) -> None:
        self._server = server
        self._port = port

    @property
    def port(self) -> int:
        """The port that was bound, also when 0 was asked for."""
        return self._port

    def close(self) -> None:
        """Accept no more; connections that were accepted live on."""
        self._server.close()


class RealNetwork:
    """The operating system's TCP."""

    async def connect(
        self,
        factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Connect a protocol of the factory's making; raises OSError."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            factory,
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else TLS_HANDSHAKE_SECONDS,
        )
        # A socket object of our own over the same descriptor: uvloop's stand-in is not one.
        with socket.socket(fileno=socket.dup(transport.get_extra_info("socket").fileno())) as own:
            _configure(own)

    async def listen(
        self,
        factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> Listening:
        """Accept connections, a protocol of the factory's making each; raises OSError.

        Of a name with several addresses the first is taken, so that there is one port.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Accepted sockets inherit these.
            _configure(listener)
            listener.bind(address)
            server = await loop.create_server(
                factory,
                sock=listener,
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else TLS_HANDSHAKE_SECONDS,
            )
        except BaseException:
            listener.close()
            raise
        bound: int = listener.getsockname()[1]
        return RealListening(server, bound)


def _configure(one: socket.socket) -> None:
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_SECONDS)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MILLISECONDS)

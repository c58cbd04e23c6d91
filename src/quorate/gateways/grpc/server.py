"""The server: one port for gRPC and for HTTP/1.1, in clear or under mutual TLS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from quorate.gateways.grpc.connection import Connection
from quorate.gateways.grpc.limits import GrpcLimits
from quorate.gateways.grpc.methods import MethodTable, StreamMethod, UnaryMethod
from quorate.gateways.grpc.sniffing import Sniffing
from quorate.runtime.network import RealNetwork
from quorate.runtime.ports import Listening, Network
from quorate.runtime.transport.tls import ReloadingContext, TlsConfig

PROTOCOLS: Final = ("h2", "http/1.1")
"""What is offered in the TLS handshake; the first bytes decide."""
KEEPALIVE_SECONDS: Final = 75.0
"""How long a connection of HTTP/1.1 may wait for its next request."""


class _OurFaults(logging.Filter):
    """Lets pass what went wrong here, and not what a client did wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


http_logger = logging.getLogger("quorate.grpc.http")
http_logger.addFilter(_OurFaults())


class GrpcServer:
    """Serves methods by gRPC, and an application of aiohttp by HTTP/1.1.

    `methods` are named by their paths, "/package.Service/Method". Without `http` connections
    of HTTP/1.1 are cut.
    """

    def __init__(
        self,
        methods: Mapping[str, UnaryMethod | StreamMethod],
        *,
        http: web.Application | None = None,
        limits: GrpcLimits | None = None,
        tls: TlsConfig | None = None,
        network: Network | None = None,
    ) -> None:
        self._methods = MethodTable(methods)
        self._application = http
        self._limits = limits or GrpcLimits()
        self._tls = tls
        self._network = network or RealNetwork()
        self._listening: Listening | None = None
        self._book: _Book | None = None

    @property
    def port(self) -> int:
        """The port that was bound, also when 0 was asked for."""
        if self._listening is None:
            raise RuntimeError("the server has no port: it was not started, or was closed")
        return self._listening.port

    @property
    def connections(self) -> int:
        """How many connections are open, of all protocols."""
        return 0 if self._book is None else self._book.connections

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 means any free one. Raises OSError, and ConfigurationError for TLS."""
        if self._book is not None:
            raise RuntimeError("the server listens already")
        tls = None
        if self._tls is not None:
            tls = ReloadingContext.for_server(self._tls, protocols=PROTOCOLS)
        runner = None
        if self._application is not None:
            runner = web.AppRunner(
                self._application,
                access_log=None,
                logger=http_logger,
                keepalive_timeout=KEEPALIVE_SECONDS,
                shutdown_timeout=self._limits.grace_seconds,
                # A watch whose client is gone must end, though it has nothing to send.
                handler_cancellation=True,
            )
            await runner.setup()
        book = self._book = _Book(self._methods, self._limits, runner)
        try:
            self._listening = await self._network.listen(lambda: Sniffing(book), host, port, tls)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Listen no more, let calls end for the time of grace, cut those that have not."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        book = self._book
        if book is not None:
            await book.close()
            self._book = None


class _Book:
    """All connections of a server, and what serves them; dicts, because sets have no order."""

    def __init__(
        self, methods: MethodTable, limits: GrpcLimits, http: web.AppRunner | None
    ) -> None:
        self.handshake_seconds = limits.handshake_seconds
        self._methods = methods
        self._limits = limits
        self._http = http
        self._young: dict[Sniffing, None] = {}
        self._open: dict[Connection, None] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._closing = False
        self._changed = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        server = None if self._http is None else self._http.server
        others = 0 if server is None else len(server.connections)
        return len(self._young) + len(self._open) + others

    def arrived(self, sniffing: Sniffing) -> bool:
        """Note a connection, and return whether there is room for it."""
        self._young[sniffing] = None
        return not self._closing and self.connections <= self._limits.connections

    def gone(self, sniffing: Sniffing) -> None:
        """Note that it has ended, or speaks a protocol from now on."""
        self._young.pop(sniffing, None)
        self._changed.set()

    def http2(self) -> asyncio.Protocol:
        """Return who takes a connection of HTTP/2."""
        return Connection(self, self._methods, self._limits)

    def http1(self) -> asyncio.Protocol | None:
        """Return who takes a connection of HTTP/1.1."""
        server = None if self._http is None else self._http.server
        return None if server is None else server()

    def opened(self, connection: Connection) -> None:
        """Note a connection of HTTP/2."""
        self._open[connection] = None

    def lost(self, connection: Connection) -> None:
        """Note that it has ended."""
        del self._open[connection]
        self._changed.set()

    def outlive(self, task: asyncio.Task[None]) -> None:
        """Hold a task that ends soon."""
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """End all connections; returns when they and their calls have ended."""
        await asyncio.gather(self._close_http2(), self._close_http1())

    async def _close_http1(self) -> None:
        if self._http is not None:
            await self._http.cleanup()

    async def _close_http2(self) -> None:
        self._closing = True
        for young in list(self._young):
            young.abort()
        for connection in list(self._open):
            connection.drain()
        try:
            async with asyncio.timeout(self._limits.grace_seconds):
                await self._emptied()
        except TimeoutError:
            for connection in list(self._open):
                connection.cut()
            await self._emptied()

    async def _emptied(self) -> None:
        while self._young or self._open or self._tasks:
            self._changed.clear()
            await self._changed.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._changed.set()

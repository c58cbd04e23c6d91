"""One connection to one ZooKeeper server: requests in, answers out in their order.

Law: nothing here retries. When the connection ends, every request that was not answered fails
with ConnectionLost; what was written before may have happened.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar, cast

from quorate.codecs.zookeeper import records
from quorate.codecs.zookeeper.jute import Reader, RecordError, integer
from quorate.codecs.zookeeper.records import Code, Notification, Operation
from quorate.errors import ConnectionLost

Answer = TypeVar("Answer")
_LENGTH_BYTES: Final = 4
_FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
"""More than any server sends, unless it is none."""


class Request(NamedTuple):
    """What is asked: the operation, and its encoded record."""

    operation: Operation
    body: bytes


NOTHING: Final = Request(Operation.MULTI, records.multi(()))
"""A write that changes nothing, and needs a majority all the same."""


class Reply(NamedTuple):
    """What was answered: the last transaction applied, the code, and the rest."""

    zxid: int
    code: int
    reader: Reader


class Connection(asyncio.Protocol):
    """A connection. `on_event` hears what the watches see, `on_end` that it ended."""

    def __init__(
        self, on_event: Callable[[Notification, int], None], on_end: Callable[[], None]
    ) -> None:
        self._on_event = on_event
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._granted: asyncio.Future[records.Session] = loop.create_future()
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._pings: deque[asyncio.Future[None]] = deque()
        self._authentication: asyncio.Future[int] = loop.create_future()
        self._xid = 0
        self.zxid = 0
        """The last transaction that the server is known to have applied."""
        self.ended = False
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports offer the methods without the class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what arrives, frame by frame."""
        self._received += data
        start = 0
        while len(self._received) - start >= _LENGTH_BYTES and not self.ended:
            body = start + _LENGTH_BYTES
            end = body + int.from_bytes(self._received[start:body])
            if end - body > _FRAME_BYTES_MAX:
                self.abort()
            if len(self._received) < end:
                break
            start = end
            try:
                self._take(Reader(bytes(self._received[body:end])))
            except RecordError:
                # Whatever it is, it is no ZooKeeper; the next server may be one.
                self.abort()
                break
        del self._received[:start]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Fail what waits for an answer."""
        self.ended = True
        error = ConnectionLost("the ZooKeeper server closed the connection")
        futures: list[asyncio.Future[Any]] = [self._granted, self._authentication]
        for future in (*futures, *self._waiting, *self._pings):
            if not future.done():
                future.set_exception(error)
                # Whoever stopped waiting does not mind.
                future.exception()
        self._waiting.clear()
        self._pings.clear()
        self._gone.set()
        self._on_end()

    async def open(
        self, last_zxid: int, milliseconds: int, session: int, password: bytes
    ) -> records.Session:
        """Begin a session, or go on with one. Raises ConnectionLost."""
        self._write(records.connect(last_zxid, milliseconds, session, password))
        return await asyncio.shield(self._granted)

    async def authenticate(self, scheme: str, secret: bytes) -> int:
        """Authenticate, and return the code."""
        self._send(
            records.AUTHENTICATION,
            Request(Operation.AUTHENTICATE, records.authenticate(scheme, secret)),
        )
        return await asyncio.shield(self._authentication)

    def send(self, request: Request) -> asyncio.Future[Reply]:
        """Send a request; the answer comes after those of what was sent before."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        if self.ended:
            future.set_exception(ConnectionLost("the connection to the server had ended"))
            return future
        self._xid = self._xid % 0x7FFFFFFF + 1
        self._send(self._xid, request)
        self._waiting.append(future)
        return future

    def ping(self) -> asyncio.Future[None]:
        """Ask for a sign of life."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self.ended:
            future.set_exception(ConnectionLost("the connection to the server had ended"))
            return future
        self._send(records.PING, Request(Operation.PING, b""))
        self._pings.append(future)
        return future

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """End the connection, and return when it has ended."""
        if self._transport is not None:
            self._transport.abort()
            await self._gone.wait()

    def _send(self, xid: int, request: Request) -> None:
        self._write(integer(xid) + integer(request.operation) + request.body)

    def _write(self, message: bytes) -> None:
        if self._transport is None or self.ended:
            raise ConnectionLost("the connection to the server had ended")
        self._transport.write(len(message).to_bytes(_LENGTH_BYTES) + message)

    def _take(self, reader: Reader) -> None:
        if not self._granted.done():
            self._granted.set_result(records.session(reader))
            return
        xid, zxid, code = records.header(reader)
        if xid == records.NOTIFICATION:
            # It was seen after everything that is known to be applied.
            self._on_event(records.notification(reader), self.zxid)
            return
        if zxid > 0:
            self.zxid = max(self.zxid, zxid)
        if xid == records.PING:
            if self._pings:
                _settle(self._pings.popleft(), None)
        elif xid == records.AUTHENTICATION:
            _settle(self._authentication, code)
        elif self._waiting:
            _settle(self._waiting.popleft(), Reply(zxid, code, reader))
        else:
            raise RecordError("an answer that nobody waits for")
        if code == Code.SESSION_EXPIRED:
            self.abort()


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)

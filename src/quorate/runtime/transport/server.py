"""The listening side.

Law: nobody gets past the handshake without a `Welcome`, and the number of connections is
bounded, those that have not spoken yet included.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from quorate.errors import ConnectionLost, FrameInvalid, TransportError
from quorate.runtime.ports import Listening, Network
from quorate.runtime.transport.connection import (
    Connection,
    ConnectionLimits,
    OnLost,
    ignore_loss,
    logger,
)
from quorate.runtime.transport.frames import HEADER_SIZE, take_frame
from quorate.runtime.transport.hello import (
    HELLO_LIMIT,
    MAGIC,
    Answer,
    Hello,
    Refusal,
    RefusalCode,
    Role,
    decode_hello,
    encode_answer,
)

MAXIMUM_CONNECTIONS = 10_000
MAXIMUM_HANDSHAKES = 1_000


@dataclass(frozen=True)
class Reception:
    """What stands behind a listener.

    `welcome` judges a hello (see `judge_hello`) and may look at the certificate's names.
    `on_open` takes the connection: for a client it sets `connection.on_frames`, while the
    frames of peers go to `on_peer_frames` and `on_bulk_frames` with the sender's node id.
    `on_lost` hears of every connection that was open, unless `on_open` set another.
    """

    welcome: Callable[[Hello, Connection], Answer]
    on_open: Callable[[Connection, Hello], None]
    on_peer_frames: Callable[[int, list[bytes]], None]
    on_bulk_frames: Callable[[int, list[bytes]], None]
    on_lost: OnLost = ignore_loss


class Listener:
    """Accepts connections and introduces them to a `Reception`."""

    def __init__(
        self,
        network: Network,
        reception: Reception,
        *,
        limits: ConnectionLimits | None = None,
        maximum_connections: int = MAXIMUM_CONNECTIONS,
    ) -> None:
        self._network = network
        self._limits = limits or ConnectionLimits()
        self._listening: Listening | None = None
        self._book = _Book(reception, maximum_connections)

    @property
    def port(self) -> int:
        """The port that was bound, also when 0 was asked for."""
        if self._listening is None:
            raise RuntimeError("the listener has no port: it was not started, or was closed")
        return self._listening.port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._book.open)

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None) -> None:
        """Listen; port 0 means any free one. Raises OSError."""
        if self._listening is not None:
            raise RuntimeError("the listener listens already")
        self._listening = await self._network.listen(self._accept, host, port, tls)
        self._book.closing = False

    async def close(self) -> None:
        """Listen no more, close all connections and wait until they have ended."""
        self._book.closing = True
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for connection in list(self._book.young):
            connection.abort(ConnectionLost("this node shuts down"))
        for connection in list(self._book.open):
            connection.close("this node shuts down")
        while everyone := [*self._book.young, *self._book.open]:
            await everyone[0].wait_lost()

    def _accept(self) -> asyncio.Protocol:
        return Connection(_Accepting(self._book), self._limits)


class _Book:
    """All connections of a listener; dicts, because sets have no order."""

    def __init__(self, reception: Reception, maximum_connections: int) -> None:
        self.reception = reception
        self.maximum = maximum_connections
        self.young: dict[Connection, None] = {}
        self.open: dict[Connection, None] = {}
        self.closing = False


class _Accepting:
    """The listening side's part of a handshake."""

    __slots__ = ("_book", "_hello")

    def __init__(self, book: _Book) -> None:
        self._book = book
        self._hello: Hello | None = None

    def start(self, connection: Connection) -> bytes:
        book = self._book
        book.young[connection] = None
        if book.closing:  # a TLS handshake may end after the listener did
            connection.abort(ConnectionLost("this node shuts down"))
        elif len(book.young) > MAXIMUM_HANDSHAKES:
            connection.abort(ConnectionLost("too many connections are in their handshake"))
        return b""

    def receive(self, connection: Connection, buffer: bytearray) -> int:
        # Judged from the first byte on, so that a stranger does not keep its slot.
        if not MAGIC.startswith(buffer[: len(MAGIC)]):
            raise FrameInvalid("the first bytes are not Quorate's: something else dialled here")
        payload = take_frame(buffer, len(MAGIC), HELLO_LIMIT)
        if payload is None:
            return 0
        hello = decode_hello(payload)
        answer = self._judge(hello, connection)
        connection.send(encode_answer(answer))
        if isinstance(answer, Refusal):
            logger.debug("refused %s: %s", connection.peer_address, answer.message)
            connection.close(answer.message)
            return 0
        self._hello = hello
        return len(MAGIC) + HEADER_SIZE + len(payload)

    def opened(self, connection: Connection) -> None:
        book, hello = self._book, self._hello
        assert hello is not None
        del book.young[connection]
        book.open[connection] = None
        reception = book.reception
        connection.on_lost = reception.on_lost
        if hello.role is not Role.CLIENT:
            deliver = (
                reception.on_peer_frames if hello.role is Role.PEER else reception.on_bulk_frames
            )
            node_id = hello.node_id
            connection.on_frames = lambda _, frames: deliver(node_id, frames)
        reception.on_open(connection, hello)

    def ended(self, connection: Connection, error: TransportError) -> None:
        self._book.young.pop(connection, None)
        self._book.open.pop(connection, None)
        if self._hello is None:
            logger.debug("no handshake with %s: %s", connection.peer_address, error)

    def _judge(self, hello: Hello, connection: Connection) -> Answer:
        # Peers are few and must always get in, or clients could keep a cluster apart.
        if hello.role is Role.CLIENT and len(self._book.open) >= self._book.maximum:
            return Refusal(
                RefusalCode.BUSY,
                f"this node has {self._book.maximum} connections, which is its limit: use "
                "another node, or raise the limit",
            )
        return self._book.reception.welcome(hello, connection)

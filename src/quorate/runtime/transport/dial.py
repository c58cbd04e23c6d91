"""The dialling side.

Law: a failure names the address and what to do. `Unavailable` may pass by itself,
`HandshakeRefused` will not, and `ConnectionLost` means that the other side hung up on us.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import NoReturn

from quorate.errors import (
    ConnectionLost,
    FrameInvalid,
    HandshakeRefused,
    TransportError,
    Unavailable,
)
from quorate.runtime.ports import Network
from quorate.runtime.transport.address import split_address
from quorate.runtime.transport.connection import (
    Connection,
    ConnectionLimits,
    OnFrames,
    OnLost,
)
from quorate.runtime.transport.frames import HEADER_SIZE, encode_frame, take_frame
from quorate.runtime.transport.hello import (
    HELLO_LIMIT,
    MAGIC,
    PROTOCOL_VERSION,
    Answer,
    Hello,
    RefusalCode,
    Welcome,
    decode_answer,
    encode_hello,
)


@dataclass(frozen=True)
class Dialer:
    """How connections are made from here: through which network, with which bounds."""

    network: Network
    tls: ssl.SSLContext | None = None
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)

    async def dial(
        self, address: str, hello: Hello, *, on_frames: OnFrames, on_lost: OnLost
    ) -> tuple[Connection, Welcome]:
        """Connect, introduce ourselves and return the open connection.

        All of it takes `limits.handshake_seconds` at most. `on_frames` may be called before
        this returns, when the other side speaks at once; `on_lost` is called only for a
        connection that was open. Raises HandshakeRefused, ConnectionLost, Unavailable, and
        ConfigurationError for a text that is no address.
        """
        host, port = split_address(address)
        handshake = _Dialling(hello, address, on_frames, on_lost)
        connection = Connection(handshake, self.limits)
        seconds = self.limits.handshake_seconds
        try:
            async with asyncio.timeout(seconds):
                await self.network.connect(lambda: connection, host, port, self.tls)
                await handshake.settled()
            return connection, handshake.outcome()
        except TimeoutError as error:
            await _drop(connection)
            raise Unavailable(
                f"{address} did not answer within {seconds:g} s: check that the node runs, "
                "that the network lets you through, and that both sides agree on TLS"
            ) from error
        except (OSError, UnicodeError) as error:  # the latter: a host that no name can be
            await _drop(connection)
            _explain(address, error)
        except BaseException:
            await _drop(connection)
            raise


class _Dialling:
    """The dialling side's part of a handshake."""

    __slots__ = ("_address", "_error", "_hello", "_on_frames", "_on_lost", "_waiter", "_welcome")

    def __init__(self, hello: Hello, address: str, on_frames: OnFrames, on_lost: OnLost) -> None:
        self._hello = hello
        self._address = address
        self._on_frames = on_frames
        self._on_lost = on_lost
        self._welcome: Welcome | None = None
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def settled(self) -> None:
        """Wait for an outcome, either way."""
        if self._welcome is None and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def outcome(self) -> Welcome:
        """Return the welcome or raise what came instead."""
        if self._error is not None:
            raise self._error
        assert self._welcome is not None
        return self._welcome

    def start(self, connection: Connection) -> bytes:
        connection.on_frames = self._on_frames
        connection.on_lost = self._on_lost
        return MAGIC + encode_frame(encode_hello(self._hello))

    def receive(self, connection: Connection, buffer: bytearray) -> int:
        payload = take_frame(buffer, 0, HELLO_LIMIT)
        if payload is None:
            return 0
        answer = decode_answer(payload)
        error = self._judge(answer)
        if error is not None:
            self._settle(error)
            connection.close(str(error))
            return 0
        assert isinstance(answer, Welcome)
        self._welcome = answer
        return HEADER_SIZE + len(payload)

    def opened(self, _: Connection) -> None:
        self._settle(None)

    def ended(self, _: Connection, error: TransportError) -> None:
        # Also after `opened`: `dial` must not return a connection that is gone already.
        if isinstance(error, FrameInvalid):
            reason: Exception = HandshakeRefused(
                f"{self._address} does not speak Quorate's protocol ({error}): check the "
                "address, and that both sides agree on TLS"
            )
        elif isinstance(error.__cause__, ssl.SSLError):
            reason = _tls_refused(self._address, error.__cause__)
        else:
            reason = ConnectionLost(
                f"{self._address} hung up during the handshake ({error}): look into the log "
                "of that node; it may be stopping, expect TLS, or not trust your certificate"
            )
        reason.__cause__ = error
        self._settle(reason)

    def _judge(self, answer: Answer) -> Exception | None:
        if not isinstance(answer, Welcome):
            message = f"{self._address} refused the connection: {answer.message}"
            if answer.code == RefusalCode.BUSY:
                return Unavailable(message)
            return HandshakeRefused(message)
        if answer.version != PROTOCOL_VERSION:
            return HandshakeRefused(
                f"{self._address} speaks protocol version {answer.version}, this side version "
                f"{PROTOCOL_VERSION}: install matching releases of quorate"
            )
        if self._hello.cluster_id not in {0, answer.cluster_id}:
            return HandshakeRefused(
                f"{self._address} belongs to cluster {answer.cluster_id:x}, not to cluster "
                f"{self._hello.cluster_id:x}: check the address"
            )
        return None

    def _settle(self, error: Exception | None) -> None:
        if self._error is None:
            self._error = error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def _drop(connection: Connection) -> None:
    connection.abort(ConnectionLost("the handshake failed"))
    if connection.is_connected:
        await connection.wait_lost()


def _tls_refused(address: str, error: ssl.SSLError) -> HandshakeRefused:
    return HandshakeRefused(
        f"{address} and this side do not trust each other ({error}): check that both use TLS, "
        "that both certificates come from the same authority and are not expired, and that "
        "the other one's names the address"
    )


def _explain(address: str, error: OSError | UnicodeError) -> NoReturn:
    if isinstance(error, ssl.SSLError):
        raise _tls_refused(address, error) from error
    raise Unavailable(
        f"{address} cannot be reached ({error}): check that the node runs and that the "
        "address is right"
    ) from error

"""The first bytes of a connection decide what it speaks: HTTP/2's preface, or else HTTP/1.1.

Law: whoever has not said by a deadline what it wants is cut. A connection of HTTP/1.1 is
handed on with its first request's head complete, so that a slow head ends here as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from quorate.gateways.grpc.frames import PREFACE
from quorate.gateways.grpc.stream import logger

HEAD_BYTES: Final = 64 * 1024
"""The longest head that is waited for; who takes the connection refuses it."""
_HEAD_END: Final = b"\r\n\r\n"


class Door(Protocol):
    """Where connections come in."""

    handshake_seconds: float

    def arrived(self, sniffing: Sniffing) -> bool:
        """Note a connection, and return whether there is room for it."""

    def gone(self, sniffing: Sniffing) -> None:
        """Note that it has ended, or speaks a protocol from now on."""

    def http2(self) -> asyncio.Protocol:
        """Return who takes a connection of HTTP/2, from the end of its preface on."""

    def http1(self) -> asyncio.Protocol | None:
        """Return who takes a connection of HTTP/1.1; None: nobody."""


class Sniffing(asyncio.Protocol):
    """A connection that has not said what it speaks."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes, not for long."""
        # A cast, since uvloop's transports are Transports by shape only.
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._door.handshake_seconds, self.abort)
        if not self._door.arrived(self):
            logger.debug("a connection was cut: there are too many")
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Look at the first bytes."""
        early = self._early
        early += data
        if early.startswith(PREFACE):
            self._hand_over(self._door.http2, len(PREFACE))
        elif PREFACE.startswith(early):
            return
        elif _HEAD_END in early or len(early) > HEAD_BYTES:
            self._hand_over(self._door.http1, 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing was said."""
        logger.debug("a connection ended before it said what it speaks: %s", exc or "closed")
        self._timer.cancel()
        self._door.gone(self)

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def _hand_over(self, taker: Callable[[], asyncio.Protocol | None], start: int) -> None:
        self._timer.cancel()
        protocol = taker()
        if protocol is None:
            self.abort()
            return
        self._door.gone(self)
        transport = self._transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if rest := bytes(self._early[start:]):
            protocol.data_received(rest)

"""One connection: a handshake, then frames both ways.

Law: everything is bounded. The handshake has a deadline, a frame a limit, the queue of what
is not sent yet a high-water mark (`writable`, `on_writable`) and an end (`overflowing`, upon
which the connection is dropped rather than the process). The frames of one read are delivered
by one call, and the payloads sent in one turn of the loop leave in one write.

The callbacks are plain attributes, so that whoever learns first whom it speaks with, the
listener, can hand the connection on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, TypeAlias, cast

import msgspec

from quorate.errors import ConnectionLost, FrameInvalid, LimitExceeded, TransportError
from quorate.runtime.transport.address import join_address
from quorate.runtime.transport.frames import HEADER, HEADER_SIZE, FrameReader

logger = logging.getLogger("quorate.transport")

CLOSE_SECONDS = 1.0
"""How long a closed connection may take to send what it still holds."""

JOIN_LIMIT = 256 * 1024
"""Up to this many bytes one joined write is cheaper than a list of small ones."""

_pack = HEADER.pack


class ConnectionLimits(msgspec.Struct, frozen=True):
    """The bounds of one connection."""

    frame_bytes: int = 16 * 1024 * 1024
    handshake_seconds: float = 5.0
    high_water_bytes: int = 4 * 1024 * 1024
    overflow_bytes: int = 64 * 1024 * 1024


class Handshake(Protocol):
    """One side's part of opening a connection, and its book-keeping at the end."""

    def start(self, connection: Connection) -> bytes:
        """Return what to say first; may close the connection instead."""

    def receive(self, connection: Connection, buffer: bytearray) -> int:
        """Look at all bytes so far; return how many the finished handshake took, else 0.

        Raises FrameInvalid.
        """

    def opened(self, connection: Connection) -> None:
        """Note that the connection is open; frames follow."""

    def ended(self, connection: Connection, error: TransportError) -> None:
        """Note that the connection is gone, whether it was open before or not."""


OnFrames: TypeAlias = "Callable[[Connection, list[bytes]], None]"
OnLost: TypeAlias = "Callable[[Connection, TransportError], None]"
OnWritable: TypeAlias = "Callable[[Connection], None]"


def ignore_frames(connection: Connection, frames: list[bytes]) -> None:
    """Do nothing."""


def ignore_loss(connection: Connection, error: TransportError) -> None:
    """Do nothing."""


def _ignore_writable(connection: Connection) -> None:
    """Do nothing."""


class Connection(asyncio.Protocol):
    """A framed connection. Made by `Listener` and `Dialer`, driven by the event loop."""

    __slots__ = (
        "_early",
        "_error",
        "_gathered",
        "_gathered_bytes",
        "_handshake",
        "_limits",
        "_loop",
        "_lost",
        "_opened",
        "_reader",
        "_timer",
        "_transport",
        "_waiters",
        "_writable",
        "on_frames",
        "on_lost",
        "on_writable",
    )

    def __init__(self, handshake: Handshake, limits: ConnectionLimits) -> None:
        self.on_frames: OnFrames = ignore_frames
        self.on_lost: OnLost = ignore_loss
        self.on_writable: OnWritable = _ignore_writable
        self._handshake = handshake
        self._limits = limits
        self._reader = FrameReader(limits.frame_bytes)
        self._early = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._error: TransportError | None = None
        self._opened = False
        self._writable = True
        self._lost = False

    @property
    def is_open(self) -> bool:
        """Whether the handshake succeeded and nobody has closed or lost the connection."""
        return self._opened and self._error is None

    @property
    def is_connected(self) -> bool:
        """Whether there is a transport that has not ended."""
        return self._transport is not None and not self._lost

    @property
    def writable(self) -> bool:
        """Whether the queue is below its high-water mark; else wait for `on_writable`."""
        return self._writable

    @property
    def queued(self) -> int:
        """How many bytes were sent here but not yet taken by the operating system."""
        transport = self._transport
        if transport is None or self._lost:
            return 0
        return self._gathered_bytes + transport.get_write_buffer_size()

    @property
    def overflowing(self) -> bool:
        """Whether the queue is over its bound, which ends the connection."""
        return self.queued > self._limits.overflow_bytes

    @property
    def peer_address(self) -> str:
        """The other side's address, for messages; "?" when it is not known."""
        found = None if self._transport is None else self._transport.get_extra_info("peername")
        # A Unix socket has a path or nothing.
        return join_address(str(found[0]), int(found[1])) if isinstance(found, tuple) else "?"

    @property
    def peer_names(self) -> tuple[str, ...]:
        """The names in the other side's verified certificate, the common name first.

        Empty without TLS.
        """
        transport = self._transport
        certificate = None if transport is None else transport.get_extra_info("peercert")
        if not certificate:
            return ()
        names = [
            value
            for part in certificate.get("subject", ())
            for kind, value in part
            if kind == "commonName"
        ]
        names += [value for _, value in certificate.get("subjectAltName", ())]
        return tuple(dict.fromkeys(names))

    def send(self, payload: bytes) -> None:
        """Send one frame, with the others of this turn of the loop.

        Does nothing once the connection is ending: only an answer proves that anything
        arrived. Raises LimitExceeded for a payload that the other side would refuse.
        """
        size = self._checked_size(payload)
        self._gather(_pack(size), payload, size + HEADER_SIZE)

    def send_at_once(self, payload: bytes) -> None:
        """Send one frame after what was sent before, when no more will come in this turn.

        Otherwise as `send`; whoever uses it minds `queued`.
        """
        size = self._checked_size(payload)
        if self._gathered:
            self._gather(_pack(size), payload, size + HEADER_SIZE)
            self._flush()
            return
        transport = self._transport
        if self._error is None and transport is not None and not self._lost:
            if size <= JOIN_LIMIT:
                transport.write(_pack(size) + payload)
            else:
                transport.writelines([_pack(size), payload])

    def close(self, reason: str) -> None:
        """Send what is queued, within a second, then end. Fine to call twice."""
        if self._error is None:
            self._error = ConnectionLost(reason)
            self._finish()

    def abort(self, error: TransportError) -> None:
        """End at once; what is queued is lost."""
        if self._error is None:
            self._error = error
        self._gathered.clear()
        self._gathered_bytes = 0
        if self._transport is not None:
            self._transport.abort()

    async def wait_lost(self) -> None:
        """Return when the connection has ended and its callbacks have run."""
        if not self._lost:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def pause_reading(self) -> None:
        """Deliver no more after the current frames, so that TCP slows the other side down."""
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.is_reading():
            transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        transport = self._transport
        if transport is not None and not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._loop = asyncio.get_running_loop()
        # A cast, since uvloop's transports are Transports by shape only.
        self._transport = cast("asyncio.Transport", transport)
        if self._error is not None:  # given up while it was connecting
            self._transport.abort()
            return
        high = self._limits.high_water_bytes
        self._transport.set_write_buffer_limits(high=high, low=high // 4)
        self._timer = self._loop.call_later(self._limits.handshake_seconds, self._handshake_late)
        greeting = self._handshake.start(self)
        if greeting:
            self._gather(greeting, b"", len(greeting))

    def data_received(self, data: bytes) -> None:
        """Deliver the frames that these bytes complete."""
        if self._error is not None:
            return
        try:
            frames = self._reader.feed(data) if self._opened else self._receive_early(data)
        except FrameInvalid as error:
            logger.debug("connection with %s closed: %s", self.peer_address, error)
            self.abort(error)
            return
        if frames:
            self.on_frames(self, frames)

    def pause_writing(self) -> None:
        """Note that the queue passed its high-water mark."""
        self._writable = False

    def resume_writing(self) -> None:
        """Note that the queue is short again."""
        self._writable = True
        if self._opened and self._error is None:
            self.on_writable(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody, once."""
        if self._error is None:
            why = "the other side closed it" if exc is None else (str(exc) or type(exc).__name__)
            self._error = ConnectionLost(f"connection with {self.peer_address} ended: {why}")
            self._error.__cause__ = exc
        self._lost = True
        self._stop_timer()
        self._gathered.clear()
        self._gathered_bytes = 0
        self._handshake.ended(self, self._error)
        if self._opened:
            self.on_lost(self, self._error)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _receive_early(self, data: bytes) -> list[bytes]:
        self._early += data
        taken = self._handshake.receive(self, self._early)
        if not taken or self._error is not None:
            return []
        rest = bytes(self._early[taken:])
        self._early.clear()
        self._stop_timer()
        self._opened = True
        self._handshake.opened(self)
        return self._reader.feed(rest) if rest and self._error is None else []

    def _handshake_late(self) -> None:
        seconds = self._limits.handshake_seconds
        self.abort(
            ConnectionLost(f"{self.peer_address} did not finish the handshake within {seconds:g} s")
        )

    def _checked_size(self, payload: bytes) -> int:
        size = len(payload)
        if not 0 < size <= self._limits.frame_bytes:
            raise LimitExceeded(
                f"a frame of {size} bytes cannot be sent: 1 to {self._limits.frame_bytes} "
                "bytes are allowed; split the payload"
            )
        return size

    def _gather(self, header: bytes, payload: bytes, size: int) -> None:
        if self._error is not None or self._loop is None:
            return
        gathered = self._gathered
        if not gathered:
            self._loop.call_soon(self._flush)
        gathered.append(header)
        gathered.append(payload)
        self._gathered_bytes += size
        if self._gathered_bytes > self._limits.overflow_bytes:
            self._overflow()

    def _flush(self) -> None:
        transport = self._transport
        if not self._gathered or transport is None or self._lost:
            return
        # Below the high-water mark it is far from its end.
        if not self._writable and self.overflowing:
            self._overflow()
            return
        gathered, self._gathered = self._gathered, []
        size, self._gathered_bytes = self._gathered_bytes, 0
        if size <= JOIN_LIMIT:
            transport.write(b"".join(gathered))
        else:
            transport.writelines(gathered)

    def _overflow(self) -> None:
        error = ConnectionLost(
            f"{self.peer_address} does not read: {self.queued} bytes wait for it, over the "
            f"bound of {self._limits.overflow_bytes}; the connection was dropped"
        )
        logger.debug("%s", error)
        self.abort(error)

    def _finish(self) -> None:
        transport, loop = self._transport, self._loop
        if transport is None or loop is None or self._lost:
            return
        self._stop_timer()
        self._flush()
        transport.close()
        self._timer = loop.call_later(CLOSE_SECONDS, transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

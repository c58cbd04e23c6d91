"""One HTTP/2 connection of a client: its frames, and how it ends.

Law: whatever comes, the only thing that can happen besides answers is that this connection
ends, told why by a GOAWAY. What the client does wrong is no error of the server, and is
logged for debugging only. Source: RFC 9113.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from quorate.gateways.grpc import frames
from quorate.gateways.grpc.codes import Code
from quorate.gateways.grpc.frames import (
    DATA,
    END_HEADERS,
    FRAME_BYTES,
    HEADER,
    HEADER_BYTES,
    HEADERS,
    PADDED,
    SETTINGS,
    STREAM_MASK,
    WITH_PRIORITY,
    ConnectionFault,
    ErrorCode,
    without_padding,
)
from quorate.gateways.grpc.limits import SMALLEST_WINDOW, GrpcLimits
from quorate.gateways.grpc.methods import MethodTable, Peer
from quorate.gateways.grpc.outgoing import Outgoing
from quorate.gateways.grpc.patience import Patience
from quorate.gateways.grpc.stream import logger
from quorate.gateways.grpc.streams import Streams
from quorate.runtime.transport.address import join_address

CLOSE_SECONDS: Final = 1.0
"""How long a connection that is closed may take to send what it still holds."""
_GOODBYE: Final = b"goodbye!"
"""The ping after which a draining connection knows that the client has seen its GOAWAY."""
_PING_BYTES: Final = 8
_CLOSING: Final = "the server is shutting down"


class Keeper(Protocol):
    """Who keeps connections: the server."""

    def opened(self, connection: Connection) -> None:
        """Note a connection."""

    def lost(self, connection: Connection) -> None:
        """Note that it has ended."""

    def outlive(self, task: asyncio.Task[None]) -> None:
        """Hold a task that ends soon, and that nobody else holds."""


class Connection(asyncio.Protocol):
    """The server's side of a connection, from the end of the client's preface on."""

    def __init__(self, keeper: Keeper, methods: MethodTable, limits: GrpcLimits) -> None:
        self.limits = limits
        self._keeper = keeper
        self._methods = methods
        self._rest = b""
        self._expected: int | None = SETTINGS
        self._block = bytearray()
        self._block_stream = 0
        self._block_flags = 0
        self._drained = False
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what is taken here."""
        limits = self.limits
        loop = self.loop = asyncio.get_running_loop()
        # A cast, since uvloop's transports are Transports by shape only.
        self._transport = cast("asyncio.Transport", transport)
        high = limits.high_water_bytes
        self._transport.set_write_buffer_limits(high=high, low=high // 4)
        self.peer = peer_of(self._transport)
        self.out = Outgoing(loop, self._transport, limits.unsent_bytes, self._overflow)
        self.patience = Patience(limits.idle_frames, limits.idle_frames_per_second, loop.time)
        self._streams = Streams(self, self._methods, keep=self._keeper.outlive, on_idle=self._leave)
        self._timer = loop.call_later(limits.handshake_seconds, self._settings_late)
        self._keeper.opened(self)
        settings = (
            (frames.MAX_CONCURRENT_STREAMS, limits.streams),
            (frames.INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
            (frames.MAX_HEADER_LIST_SIZE, limits.header_list_bytes),
        )
        self.out.control(frames.settings_frame(settings))
        if more := limits.connection_window_bytes - SMALLEST_WINDOW:
            self.out.control(frames.window_frame(0, more))

    def data_received(self, data: bytes) -> None:
        """Act on the frames that these bytes complete."""
        if self._ended:
            return
        if self._rest:
            data = self._rest + data
        try:
            taken = self._read(data)
        except ConnectionFault as fault:
            self._break(fault)
        else:
            self._rest = data[taken:]

    def pause_writing(self) -> None:
        """Read nothing from a client that does not read."""
        self.out.pause()
        if not self._ended:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self.out.resume()
        if not self._ended:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all calls."""
        if exc is not None:
            logger.debug("connection with %s ended: %s", self.peer.address, exc)
        self._ended = True
        self._timer.cancel()
        self.out.lose()
        self._streams.reset_all()
        self._keeper.lost(self)

    def drain(self) -> None:
        """Ask the client to begin no more calls; the connection ends after the last one."""
        # Of calls that cross with this the client would not know whether they were taken, so
        # all are until it has seen the message (RFC 9113, section 6.8).
        self.out.control(frames.goaway_frame(STREAM_MASK, ErrorCode.NO_ERROR, _CLOSING))
        self.out.control(frames.frame(frames.PING, 0, 0, _GOODBYE))

    def cut(self) -> None:
        """End all calls, and the connection."""
        self._streams.cut_all(Code.UNAVAILABLE, _CLOSING)
        self._finish(ErrorCode.NO_ERROR, _CLOSING)

    def _read(self, data: bytes) -> int:
        """Act on whole frames, and return how many bytes they were."""
        unpack = HEADER.unpack_from
        streams = self._streams
        position, end = 0, len(data)
        while end - position >= HEADER_BYTES:
            word, flags, identifier = unpack(data, position)
            size = word >> 8
            if size > FRAME_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            begin = position + HEADER_BYTES
            if begin + size > end:
                break
            position = begin + size
            payload = data[begin:position]
            identifier &= STREAM_MASK
            kind = word & 0xFF
            if self._expected is not None:
                self._check_expected(kind, identifier)
            if kind == DATA:
                streams.data(flags, identifier, payload)
            elif kind == HEADERS:
                self._on_headers(flags, identifier, payload)
            else:
                self._on_other(kind, flags, identifier, payload)
        return position

    def _on_other(self, kind: int, flags: int, identifier: int, payload: bytes) -> None:
        match kind:
            case frames.WINDOW_UPDATE:
                self._on_window(identifier, payload)
            case frames.PING:
                self._on_ping(flags, identifier, payload)
            case frames.RST_STREAM:
                frames.read_number(payload, "RST_STREAM")
                self._streams.reset(identifier)
            case frames.SETTINGS:
                self._on_settings(flags, identifier, payload)
            case frames.CONTINUATION:
                self._on_continuation(flags, identifier, payload)
            case frames.PUSH_PROMISE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")
            case _:
                # Good-byes, priorities and what we do not know: none of it changes anything.
                self._streams.spend()

    def _check_expected(self, kind: int, identifier: int) -> None:
        if kind != self._expected or identifier != self._block_stream:
            text = f"a frame of type {kind} where one of type {self._expected} must follow"
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, text)

    def _on_headers(self, flags: int, identifier: int, payload: bytes) -> None:
        if flags & (PADDED | WITH_PRIORITY):
            payload = without_padding(flags, payload)
        if flags & END_HEADERS:
            self._streams.block(flags, identifier, payload)
            return
        self._expected = frames.CONTINUATION
        self._block_stream = identifier
        self._block_flags = flags
        self._block = bytearray(payload)

    def _on_continuation(self, flags: int, identifier: int, payload: bytes) -> None:
        if self._expected is None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._streams.spend()
        self._block += payload
        if len(self._block) > self.limits.header_list_bytes:
            text = "the header block is too large"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text)
        if flags & END_HEADERS:
            block, self._block = bytes(self._block), bytearray()
            self._expected = None
            self._block_stream = 0
            self._streams.block(self._block_flags, identifier, block)

    def _on_settings(self, flags: int, identifier: int, payload: bytes) -> None:
        _check_connection_frame("SETTINGS", identifier)
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS that acknowledge more")
            return
        self._streams.spend()
        self._expected = None
        self._timer.cancel()
        settings = frames.read_settings(payload)
        # Said before it is used: the client takes more only once it knows that we know.
        self.out.control(frames.frame(SETTINGS, frames.ACK, 0))
        for setting, value in settings:
            if setting == frames.INITIAL_WINDOW_SIZE:
                self._streams.resize(value)
            elif setting == frames.MAX_FRAME_SIZE:
                self.out.resize_frames(value)
            elif setting == frames.HEADER_TABLE_SIZE:
                self.out.resize_table(value)

    def _on_ping(self, flags: int, identifier: int, payload: bytes) -> None:
        _check_connection_frame("PING", identifier)
        if len(payload) != _PING_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong size")
        self._streams.spend()
        if not flags & frames.ACK:
            self.out.control(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _GOODBYE:
            self._drained = True
            self._leave()

    def _on_window(self, identifier: int, payload: bytes) -> None:
        increment = frames.read_number(payload, "WINDOW_UPDATE") & STREAM_MASK
        if not increment:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a window that grows by nothing")
        if identifier:
            self._streams.widen(identifier, increment)
        else:
            self.out.widen(increment)

    def _settings_late(self) -> None:
        self._break(ConnectionFault(ErrorCode.SETTINGS_TIMEOUT, "no settings came"))

    def _overflow(self, unsent: int) -> None:
        logger.debug(
            "%s does not read: %d bytes wait for it, the connection was dropped",
            self.peer.address,
            unsent,
        )
        self._ended = True
        self._transport.abort()

    def _break(self, fault: ConnectionFault) -> None:
        logger.debug("connection with %s broken off: %s", self.peer.address, fault)
        self._finish(fault.code, fault.message)

    def _leave(self) -> None:
        """End a connection that has drained."""
        if self._drained and not self._streams:
            self._finish(ErrorCode.NO_ERROR, _CLOSING)

    def _finish(self, code: ErrorCode, text: str) -> None:
        """Say good-bye, send what is due, and end."""
        if self._ended:
            return
        self._ended = True
        self.out.control(frames.goaway_frame(self._streams.last, code, text))
        self.out.stop()
        self._streams.reset_all()
        self._timer.cancel()
        transport = self._transport
        if transport.is_closing():
            return
        self._timer = self.loop.call_later(CLOSE_SECONDS, transport.abort)
        if not transport.can_write_eof():
            transport.close()
            return
        # What the client still sends is read: closing a socket over unread bytes would
        # take our last words back.
        try:
            transport.write_eof()
        except OSError:
            transport.abort()
            return
        if not transport.is_reading():
            transport.resume_reading()


def peer_of(transport: asyncio.Transport) -> Peer:
    """Return who is at the other end."""
    address = transport.get_extra_info("peername")
    certificate = transport.get_extra_info("peercert") or {}
    names = (
        value
        for part in certificate.get("subject", ())
        for name, value in part
        if name == "commonName"
    )
    return Peer(join_address(*address[:2]) if address else "", next(names, ""))


def _check_connection_frame(kind: str, identifier: int) -> None:
    if identifier:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{kind} of a stream")

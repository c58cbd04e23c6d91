"""The streams of one connection: what opens them, what they may hold, how they all end.

Law: calls are bounded, those too whose client has gone but whose handler has not ended yet;
so are the bytes of all their requests together. A stream that is not read stops no other.
Source: RFC 9113, sections 5 and 6.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from quorate.gateways.grpc.codes import Code
from quorate.gateways.grpc.frames import (
    END_STREAM,
    PADDED,
    ConnectionFault,
    ErrorCode,
    reset_frame,
    window_frame,
    without_padding,
)
from quorate.gateways.grpc.heads import Head, HeadReader, Refusal
from quorate.gateways.grpc.limits import LARGEST_WINDOW, GrpcLimits
from quorate.gateways.grpc.methods import MethodTable, Peer, UnaryMethod
from quorate.gateways.grpc.outgoing import Outgoing
from quorate.gateways.grpc.patience import Patience
from quorate.gateways.grpc.stream import Stream
from quorate.gateways.grpc.streaming import StreamingCall
from quorate.gateways.grpc.unary import UnaryCall


class Connected(Protocol):
    """The connection, as far as its streams need it."""

    limits: GrpcLimits
    loop: asyncio.AbstractEventLoop
    out: Outgoing
    peer: Peer
    patience: Patience


class Streams:
    """The streams of a connection. What a client sends wrongly raises ConnectionFault."""

    def __init__(
        self,
        connected: Connected,
        methods: MethodTable,
        *,
        keep: Callable[[asyncio.Task[None]], None],
        on_idle: Callable[[], None],
    ) -> None:
        self.limits = connected.limits
        self.loop = connected.loop
        self.out = connected.out
        self.peer = connected.peer
        self.last = 0
        """The last stream that the client has opened."""
        self._patience = connected.patience
        self._keep = keep
        self._on_idle = on_idle
        self._heads = HeadReader(methods, self.limits.header_list_bytes)
        self._open: dict[int, Stream] = {}
        self._outliving = 0
        self._held = 0
        self._credit = self.limits.connection_window_bytes

    def __len__(self) -> int:
        return len(self._open)

    def spend(self) -> None:
        """Note a frame that brings no call forward."""
        self._patience.spend(self.out.answered)

    def data(self, flags: int, identifier: int, payload: bytes) -> None:
        """Act on a DATA frame."""
        size = len(payload)
        self._credit -= size
        if 2 * self._credit < self.limits.connection_window_bytes:
            self._grant()
        stream = self._open.get(identifier)
        if stream is None:
            self._stray(identifier)
            return
        stream.credit -= size
        if stream.done:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"more on stream {identifier}")
        if stream.credit < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"too much on {identifier}")
        if flags & PADDED:
            payload = without_padding(PADDED, payload)
        if payload:
            self.hold(stream, len(payload))
            if not stream.closed:
                stream.take(payload)
        elif not flags & END_STREAM:
            self.spend()
        if flags & END_STREAM and not stream.closed:
            stream.finish_requests()

    def block(self, flags: int, identifier: int, block: bytes) -> None:
        """Act on a header block that is complete."""
        opening = self._heads.read(block)
        if identifier <= self.last or not identifier & 1:
            self._trailers(flags, identifier)
            return
        self.last = identifier
        if isinstance(opening, Head):
            self._begin(identifier, opening)
        elif isinstance(opening, Refusal):
            self.out.refuse(identifier, opening.block)
            if not flags & END_STREAM:
                self._reset(identifier, ErrorCode.NO_ERROR)
        else:
            self._refuse(identifier, ErrorCode.PROTOCOL_ERROR)
        if flags & END_STREAM and (stream := self._open.get(identifier)) is not None:
            stream.finish_requests()

    def reset(self, identifier: int) -> None:
        """Act on a RST_STREAM frame."""
        self.spend()
        stream = self._open.get(identifier)
        if stream is None:
            self._judge_stray(identifier)
        else:
            stream.reset()

    def widen(self, identifier: int, increment: int) -> None:
        """Act on a WINDOW_UPDATE frame of a stream."""
        stream = self._open.get(identifier)
        if stream is None:
            self._stray(identifier)
            return
        if stream.window + increment > LARGEST_WINDOW:
            text = f"the window of stream {identifier} is too large"
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, text)
        self.out.widen_stream(stream, increment)

    def resize(self, window: int) -> None:
        """Act on another initial window."""
        self.out.resize(window, list(self._open.values()))

    def cut_all(self, code: Code, message: str) -> None:
        """End all calls with an error."""
        for stream in list(self._open.values()):
            stream.cut(code, message)

    def reset_all(self) -> None:
        """End all calls, of which the client can hear no answer."""
        for stream in list(self._open.values()):
            stream.reset()

    def forget(self, stream: Stream) -> None:
        """Note that a stream has ended."""
        del self._open[stream.identifier]
        self._held -= stream.held
        if not self._open:
            # Nobody is left who could answer in this turn, so there is nothing to wait for.
            self.out.flush()
            self._on_idle()

    def hold(self, stream: Stream, size: int) -> None:
        """Note that so much of a request is held; cuts the stream when that is too much."""
        stream.held += size
        self._held += size
        if self._held > self.limits.request_bytes:
            text = f"{self._held} bytes of requests wait here, over {self.limits.request_bytes}"
            stream.cut(Code.RESOURCE_EXHAUSTED, text)

    def release(self, stream: Stream, size: int) -> None:
        """Note that so much of a request is held no longer."""
        stream.held -= size
        self._held -= size

    def outlive(self, task: asyncio.Task[None]) -> None:
        """Count the handler of an ended stream until it has ended, too."""
        self._outliving += 1
        task.add_done_callback(self._outlived)
        self._keep(task)

    def _outlived(self, _: asyncio.Task[None]) -> None:
        self._outliving -= 1

    def _begin(self, identifier: int, head: Head) -> None:
        if len(self._open) + self._outliving >= self.limits.streams:
            self._refuse(identifier, ErrorCode.REFUSED_STREAM)
        elif isinstance(head.method, UnaryMethod):
            self._open[identifier] = UnaryCall(self, identifier, head, head.method)
        else:
            call = StreamingCall(self, identifier, head, head.method)
            self._open[identifier] = call
            call.start()

    def _trailers(self, flags: int, identifier: int) -> None:
        stream = self._open.get(identifier)
        if stream is None:
            self._stray(identifier)
        elif stream.done or not flags & END_STREAM:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"second headers on {identifier}")
        else:
            stream.finish_requests()

    def _grant(self) -> None:
        # A client cannot get ahead of this: half of the window is more than a frame.
        owed = self.limits.connection_window_bytes - self._credit
        self._credit += owed
        self.out.control(window_frame(0, owed))

    def _refuse(self, identifier: int, code: ErrorCode) -> None:
        self.spend()
        self._reset(identifier, code)

    def _reset(self, identifier: int, code: ErrorCode) -> None:
        self.out.control(reset_frame(identifier, code))

    def _stray(self, identifier: int) -> None:
        self._judge_stray(identifier)
        self.spend()

    def _judge_stray(self, identifier: int) -> None:
        """Raise unless the stream was open once: then the frame has crossed with its end."""
        if not identifier & 1 or identifier > self.last:
            text = f"a frame of stream {identifier}, which was never open"
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, text)

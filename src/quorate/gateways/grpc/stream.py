"""What the calls of both kinds share: one stream of a connection, and how it ends.

Law: a stream ends once, and with it everything that was held for it. Its handler may take a
while to end after that, when it is cancelled: it is then counted until it has.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from quorate.gateways.grpc.codes import Code, RpcError
from quorate.gateways.grpc.fields import ending
from quorate.gateways.grpc.frames import ErrorCode, reset_frame, window_frame
from quorate.gateways.grpc.heads import Head
from quorate.gateways.grpc.limits import GrpcLimits
from quorate.gateways.grpc.methods import Peer
from quorate.gateways.grpc.outgoing import Outgoing, Piece

logger = logging.getLogger("quorate.grpc")


class Host(Protocol):
    """The connection that a stream is of."""

    limits: GrpcLimits
    loop: asyncio.AbstractEventLoop
    out: Outgoing
    peer: Peer

    def forget(self, stream: Stream) -> None:
        """Note that a stream has ended."""

    def hold(self, stream: Stream, size: int) -> None:
        """Note that so much of a request is held; cuts the stream when that is too much."""

    def release(self, stream: Stream, size: int) -> None:
        """Note that so much of a request is held no longer."""

    def outlive(self, task: asyncio.Task[None]) -> None:
        """Note that the handler of an ended stream goes on until this task ends."""


class Stream(ABC):
    """A call."""

    __slots__ = (
        "_timer",
        "began",
        "closed",
        "credit",
        "done",
        "final",
        "head",
        "held",
        "host",
        "identifier",
        "queue",
        "task",
        "window",
    )

    def __init__(self, host: Host, identifier: int, head: Head) -> None:
        self.host = host
        self.head = head
        self.identifier = identifier
        self.window = host.out.initial_window
        self.credit = host.limits.stream_window_bytes
        """What the client may still send."""
        self.held = 0
        """Bytes of requests, by the connection's count."""
        self.began = False
        self.done = False
        """Whether the client has sent everything."""
        self.closed = False
        self.final = b""
        self.queue: deque[Piece] = deque()
        self.task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if head.timeout is not None:
            self._timer = host.loop.call_later(head.timeout, self._late)

    @property
    def metadata(self) -> Mapping[str, str]:
        """The headers of the request."""
        return self.head.metadata

    @property
    def peer(self) -> Peer:
        """Who calls."""
        return self.host.peer

    @property
    def deadline(self) -> float | None:
        """How many seconds the client gave the call."""
        return self.head.timeout

    @abstractmethod
    def take(self, data: bytes) -> None:
        """Take bytes of requests."""

    @abstractmethod
    def finish_requests(self) -> None:
        """Note that the client has sent everything."""

    def finished(self) -> None:
        """Note that the answer's end was sent."""
        if not self.done:
            # The rest of the request is of no use; so RFC 9113, section 8.1.
            self.host.out.control(reset_frame(self.identifier, ErrorCode.NO_ERROR))
        self._close()

    def fail(self, code: Code, message: str) -> None:
        """End the answer with an error, after what was sent before."""
        if not self.closed:
            self.host.out.end(self, ending(code, message))

    def cut(self, code: Code, message: str) -> None:
        """End the call now, handler included; what is queued is lost."""
        if self.closed:
            return
        out = self.host.out
        self.final = b""
        if out.drop(self):
            out.control(reset_frame(self.identifier, ErrorCode.CANCEL))
            self._close()
        else:
            out.end(self, ending(code, message))
        self._cancel()

    def reset(self) -> None:
        """End the call, which the client cancelled or can hear no answer of."""
        if not self.closed:
            self.host.out.drop(self)
            self._close()
            self._cancel()

    def grant(self, needless: int) -> None:
        """Let the client send on, up to a window without what it need not send yet."""
        size = self.host.limits.stream_window_bytes
        owed = size - needless - self.credit
        if 2 * owed >= size and not self.done:
            self.credit += owed
            self.host.out.control(window_frame(self.identifier, owed))

    def start(self) -> None:
        """Start the handler."""
        self.task = self.host.loop.create_task(self._run())

    @abstractmethod
    async def serve(self) -> None:
        """Let the handler do its work, and end the answer if that goes well."""

    async def _run(self) -> None:
        try:
            await self.serve()
        except RpcError as error:
            self.fail(error.code, error.message)
        except asyncio.CancelledError:
            # Unless the call has ended, it was the handler's own doing.
            self.fail(Code.CANCELLED, "the call was cancelled by the server")
            raise
        except Exception:
            logger.exception("the handler of %s failed", self.head.path)
            self.fail(Code.INTERNAL, "the server failed to answer the call")

    def _close(self) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.host.forget(self)

    def _cancel(self) -> None:
        if self.task is not None and not self.task.done():
            self.host.outlive(self.task)
            self.task.cancel()

    def _late(self) -> None:
        self.cut(Code.DEADLINE_EXCEEDED, "context deadline exceeded")

"""A call with any number of messages both ways.

Law: a client sends ahead of its handler by one window, no more; messages stay as they came,
compressed ones too, until the handler asks for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from quorate.gateways.grpc.codes import Code, RpcError
from quorate.gateways.grpc.fields import OK
from quorate.gateways.grpc.framing import (
    PREFIX_BYTES,
    UNREADABLE,
    Message,
    MessageReader,
    plain,
)
from quorate.gateways.grpc.heads import Head
from quorate.gateways.grpc.methods import StreamMethod
from quorate.gateways.grpc.stream import Host, Stream


class StreamingCall(Stream):
    """A stream both ways. The handler starts at once."""

    __slots__ = ("_inbox", "_method", "_reader", "_unread", "_waiter")

    def __init__(self, host: Host, identifier: int, head: Head, method: StreamMethod) -> None:
        super().__init__(host, identifier, head)
        self._method = method
        self._reader = MessageReader(host.limits.message_bytes)
        self._inbox: deque[Message] = deque()
        self._unread = 0
        self._waiter: asyncio.Future[None] | None = None

    def take(self, data: bytes) -> None:
        """Take bytes of requests."""
        try:
            messages = self._reader.feed(data)
        except RpcError as error:
            self.cut(error.code, error.message)
            return
        if messages:
            self._inbox += messages
            self._unread += sum(len(message.data) + PREFIX_BYTES for message in messages)
            self._wake()
        self.grant(self._unread)

    def finish_requests(self) -> None:
        """Tell the handler that no more requests come."""
        self.done = True
        if self._reader.held:
            self.cut(Code.INTERNAL, "unexpected EOF")
        else:
            self._wake()

    async def receive(self) -> Any | None:
        """Return the next request, None once the client has sent its last; RpcError."""
        while not self._inbox:
            self._check_open()
            if self.done:
                return None
            if self._waiter is not None:
                raise RuntimeError("two tasks wait for the next request of one call")
            self._waiter = self.host.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._check_open()
        message = self._inbox.popleft()
        size = len(message.data) + PREFIX_BYTES
        self._unread -= size
        self.host.release(self, size)
        self.grant(self._unread)
        data = plain(message, self.host.limits.message_bytes, gzip=self.head.gzip)
        try:
            return self._method.decode(data)
        except Exception as error:
            raise RpcError(Code.INTERNAL, UNREADABLE) from error

    async def send(self, message: Any) -> None:
        """Send a response; returns when it has left. Raises RpcError."""
        self._check_open()
        left = self.host.out.message(self, self._method.encode(message))
        if left is not None:
            await left
            self._check_open()

    async def serve(self) -> None:
        """Let the handler speak with the client; RpcError, and whatever it raises."""
        await self._method.handler(self)
        if not self.closed:
            self.host.out.end(self, OK)

    def _close(self) -> None:
        super()._close()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _check_open(self) -> None:
        if self.closed or self.final:
            raise RpcError(Code.CANCELLED, "the call has ended")

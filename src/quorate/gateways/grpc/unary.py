"""A call with one request and one response: nearly all calls, so nothing here is done twice."""

from __future__ import annotations

from quorate.gateways.grpc.codes import Code, RpcError
from quorate.gateways.grpc.framing import (
    PREFIX,
    PREFIX_BYTES,
    UNREADABLE,
    check_alone,
    check_size,
    only_message,
)
from quorate.gateways.grpc.heads import Head
from quorate.gateways.grpc.methods import UnaryMethod
from quorate.gateways.grpc.stream import Host, Stream


class UnaryCall(Stream):
    """One request, one response. The handler starts when the request is complete."""

    __slots__ = ("_data", "_message", "_method")

    def __init__(self, host: Host, identifier: int, head: Head, method: UnaryMethod) -> None:
        super().__init__(host, identifier, head)
        self._method = method
        self._data: bytes | bytearray = b""
        self._message = b""

    def take(self, data: bytes) -> None:
        """Take bytes of the request; the first ones are judged when it is complete."""
        if not self._data:
            self._data = data
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += data
        if len(self._data) < PREFIX_BYTES:
            return
        size = PREFIX.unpack_from(self._data)[1]
        try:
            check_size(size, self.host.limits.message_bytes)
            check_alone(len(self._data) - PREFIX_BYTES, size)
        except RpcError as error:
            self.cut(error.code, error.message)
        else:
            self.grant(0)

    def finish_requests(self) -> None:
        """Start the handler."""
        self.done = True
        data, self._data = self._data, b""
        host, gzip = self.host, self.head.gzip
        try:
            message = only_message(data, host.limits.message_bytes, gzip=gzip)
        except RpcError as error:
            self.fail(error.code, error.message)
            return
        self._message = message
        if gzip:
            host.hold(self, len(message))
        if not self.closed:
            self.start()

    async def serve(self) -> None:
        """Answer the request; RpcError, and whatever the handler raises."""
        method = self._method
        message, self._message = self._message, b""
        try:
            request = method.decode(message)
        except Exception as error:
            raise RpcError(Code.INTERNAL, UNREADABLE) from error
        payload = method.encode(await method.handler(request, self))
        if not self.closed:
            self.host.out.answer(self, payload)

"""What a server can be called for: the handlers, what they are given, and their table.

A handler raises `RpcError` to end its call with a code of its choice. Whatever else it raises
becomes INTERNAL, is logged, and is not told to the client. It is cancelled when the client
cancels the call or is lost, and at the call's deadline.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from quorate.gateways.grpc.codes import Code, RpcError


class Peer(NamedTuple):
    """Who calls."""

    address: str
    """Host and port."""
    name: str
    """The common name of the client's certificate; empty without TLS."""


class Call(Protocol):
    """One call, as its handler sees it."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The headers of the request by their names in lower case; a repeated one's are joined.

        Those that HTTP/2 itself begins with a colon are not among them.
        """

    @property
    def peer(self) -> Peer:
        """Who calls."""

    @property
    def deadline(self) -> float | None:
        """How many seconds the client gave the call when it came; None: it waits for ever."""


class StreamCall(Call, Protocol):
    """A call with any number of messages both ways."""

    async def receive(self) -> Any | None:
        """Return the next request, None once the client has sent its last.

        Only one task at a time may ask. Raises RpcError when a request cannot be read, or
        when the call has ended.
        """

    async def send(self, message: Any) -> None:
        """Send a response; returns when it has left, which waits for a client that is slow.

        Several tasks may send: messages never mix. Raises RpcError when the call has ended.
        """


class UnaryMethod(msgspec.Struct, frozen=True):
    """One request, one response. `decode` may raise anything, which becomes INTERNAL."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    handler: Callable[[Any, Call], Awaitable[Any]]


class StreamMethod(msgspec.Struct, frozen=True):
    """Any number of messages in each direction; the call ends when the handler returns."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    handler: Callable[[StreamCall], Awaitable[None]]


class MethodTable:
    """Methods by their paths, "/package.Service/Method"."""

    def __init__(self, methods: Mapping[str, UnaryMethod | StreamMethod]) -> None:
        self._methods: Final = dict(methods)
        self._services: Final = {_split(path)[0] for path in methods}

    def find(self, path: str) -> UnaryMethod | StreamMethod:
        """Return a method; raises RpcError in the words of grpc-go, which clients know."""
        method = self._methods.get(path)
        if method is not None:
            return method
        service, name = _split(path)
        if service in self._services:
            text = f"unknown method {name} for service {service}"
        elif service:
            text = f"unknown service {service}"
        else:
            text = f'malformed method name: "{path}"'
        raise RpcError(Code.UNIMPLEMENTED, text)


def _split(path: str) -> tuple[str, str]:
    """Return service and method; the service is empty in a path that is malformed."""
    service, slash, name = path.removeprefix("/").rpartition("/")
    return (service, name) if slash and path.startswith("/") else ("", "")

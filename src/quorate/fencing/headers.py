"""How a fencing token travels over HTTP: two headers, and how clients put them there.

`Quorate-Fencing-Token` is the token in decimal, `Quorate-Fencing-Resource` the name of what is
held, in UTF-8 with percent signs. No HTTP library is imported here: httpx, requests and aiohttp
take plain functions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

from quorate.fencing.fence import Held

TOKEN_HEADER: Final = "Quorate-Fencing-Token"  # noqa: S105  a header's name
RESOURCE_HEADER: Final = "Quorate-Fencing-Resource"


class Headers(Protocol):
    """The headers of a request that is about to be sent."""

    def update(self, headers: dict[str, str], /) -> Any:
        """Set these."""


class Request(Protocol):
    """A request of any HTTP library."""

    @property
    def headers(self) -> Headers:
        """Its headers."""


AnyRequest = TypeVar("AnyRequest", bound=Request)
Response = TypeVar("Response")


def fencing_headers(held: Held) -> dict[str, str]:
    """Return the headers that let a guarded service tell a stale holder.

    Raises LockLost when it can no longer be proven that the lock is held.
    """
    held.check()
    return {TOKEN_HEADER: str(held.token), RESOURCE_HEADER: quote(held.name)}


def fencing_auth(held: Held) -> Callable[[AnyRequest], AnyRequest]:
    """Return an `auth` for httpx (both clients) and requests: every request gets the headers.

    A request raises LockLost, unsent, when it can no longer be proven that the lock is held.
    """

    def sign(request: AnyRequest) -> AnyRequest:
        request.headers.update(fencing_headers(held))
        return request

    return sign


def fencing_client_middleware(
    held: Held,
) -> Callable[[AnyRequest, Callable[[AnyRequest], Awaitable[Response]]], Awaitable[Response]]:
    """Return one of the `middlewares` of aiohttp's ClientSession (3.12 or later).

    A request raises LockLost, unsent, when it can no longer be proven that the lock is held.
    """

    async def sign_and_send(
        request: AnyRequest, send: Callable[[AnyRequest], Awaitable[Response]]
    ) -> Response:
        request.headers.update(fencing_headers(held))
        return await send(request)

    return sign_and_send

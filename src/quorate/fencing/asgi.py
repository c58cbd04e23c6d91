"""The guard of an HTTP service: an ASGI middleware that refuses a stale token.

A stale token is answered with 412 Precondition Failed, a missing one with 428 Precondition
Required: the token is a condition that the client puts on its request, and it does not hold.
409 Conflict would ask to resolve the conflict and send the request again, which a holder that
lost its lock must not do. The body is a problem of RFC 9457.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import msgspec

from quorate.errors import InvalidRequest, OutcomeUnknown, StaleToken, Unavailable
from quorate.fencing.fence import Fence, check_names
from quorate.fencing.headers import RESOURCE_HEADER, TOKEN_HEADER
from quorate.fencing.passages import Message, Passages, Receive

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
ResourceOf: TypeAlias = Callable[[Scope], str | None]
POLICY_VIOLATION: Final = 1008
TOKEN_DIGITS_MAX: Final = 19


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was refused, as RFC 9457 writes it."""

    type: str
    title: str
    status: int
    detail: str
    resource: str = ""
    token: int = 0
    highest: int = 0


class FencingMiddleware:
    """Lets a request into `app` only if `fence` lets its token in.

    `resource` says what is guarded: one name for all, or a function of the request's scope,
    which returns None for a request that needs no token. Without it the request names it, as
    `fencing_headers` does. One object has to serve all of a process's requests: those of a
    newer token wait in it until those of older ones have ended. A websocket's token is checked
    at its handshake, and no more.
    """

    def __init__(
        self, app: Application, fence: Fence, resource: str | ResourceOf | None = None
    ) -> None:
        self._app = app
        self._fence = fence
        self._resource = resource
        self._passages = Passages(fence)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI says."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        resource = self._resource(scope) if callable(self._resource) else self._resource
        if resource is None and callable(self._resource):
            await self._app(scope, receive, send)
            return
        asked = _asked(scope, resource)
        if isinstance(asked, Problem):
            await _refuse(asked, scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(asked, scope, receive, send)
        else:
            await self._shake_hands(asked, scope, receive, send)

    async def _serve(
        self, asked: tuple[str, int], scope: Scope, receive: Receive, send: Send
    ) -> None:
        resource, token = asked
        try:
            passage = await self._passages.enter(resource, token, receive)
        except (StaleToken, InvalidRequest, Unavailable, OutcomeUnknown) as error:
            await _refuse(_problem(error), scope, receive, send)
            return
        answered = False

        async def send_on(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, passage.receive, send_on)
        except Exception:
            # Frameworks raise something of their own when a client is gone.
            if not passage.cut_short or answered:
                raise
        finally:
            self._passages.leave(passage)
        if passage.cut_short and not answered:
            # The client is not gone, and hears why.
            overtaken = StaleToken(resource, token, passage.overtaken_by)
            await _refuse(_problem(overtaken), scope, receive, send)

    async def _shake_hands(
        self, asked: tuple[str, int], scope: Scope, receive: Receive, send: Send
    ) -> None:
        resource, token = asked
        try:
            await self._fence.admit(resource, token)
        except (StaleToken, InvalidRequest, Unavailable, OutcomeUnknown) as error:
            await _refuse(_problem(error), scope, receive, send)
            return
        await self._app(scope, receive, send)


def _asked(scope: Scope, resource: str | None) -> tuple[str, int] | Problem:
    """Return the resource and the token of a request, or what is wrong with them."""
    tokens = _values(scope, TOKEN_HEADER)
    names = [resource] if resource is not None else _values(scope, RESOURCE_HEADER)
    for header, values in ((TOKEN_HEADER, tokens), (RESOURCE_HEADER, names)):
        if not values:
            return _missing(header)
        if len(values) > 1:
            return _malformed(f"{header} was sent {len(values)} times: send it once")
    token = tokens[0]
    if not (token.isascii() and token.isdigit() and len(token) <= TOKEN_DIGITS_MAX):
        return _malformed(f"{TOKEN_HEADER} is {token[:40]!r}: send held.token in decimal")
    try:
        name = resource if resource is not None else unquote(names[0], errors="strict")
        check_names(name, int(token))
    except (InvalidRequest, UnicodeDecodeError) as error:
        return _malformed(str(error))
    return name, int(token)


def _values(scope: Scope, header: str) -> list[str]:
    wanted = header.lower().encode()
    return [value.decode("latin-1").strip() for name, value in scope["headers"] if name == wanted]


def _missing(header: str) -> Problem:
    return Problem(
        "urn:quorate:fencing:missing",
        "A fencing token is required",
        428,
        f"the request has no {header}: take the lock, and send what fencing_headers(held) returns",
    )


def _malformed(detail: str) -> Problem:
    return Problem("urn:quorate:fencing:malformed", "The fencing token makes no sense", 400, detail)


def _problem(error: StaleToken | InvalidRequest | Unavailable | OutcomeUnknown) -> Problem:
    if isinstance(error, StaleToken):
        return Problem(
            "urn:quorate:fencing:stale",
            "The fencing token is stale",
            412,
            str(error),
            error.resource,
            error.token,
            error.highest,
        )
    if isinstance(error, InvalidRequest):
        return _malformed(str(error))
    return Problem(
        "urn:quorate:fencing:unavailable",
        "The fence could not be asked",
        503,
        f"{error}; the request was not begun: send it again while the lock is held",
    )


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()
        kind = "websocket.http.response"
        if kind not in (scope.get("extensions") or {}):
            await send(
                {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": problem.title}
            )
            return
    body = msgspec.json.encode(problem)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": f"{kind}.start", "status": problem.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})

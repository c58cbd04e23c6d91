"""The guard of an HTTP service: who is refused, with what words, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from quorate import OutcomeUnknown, StaleToken
from quorate.fencing import Fence, FencingMiddleware, MemoryFence
from quorate.fencing.asgi import Application, Scope
from quorate.fencing.headers import RESOURCE_HEADER, TOKEN_HEADER
from quorate.fencing.passages import Message, Receive

PATIENCE = 10.0
Headers = dict[str, str] | list[tuple[bytes, bytes]]


class Ledger:
    """A service that writes down who came, and keeps each inside for as long as a test wants."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.inside: dict[str, asyncio.Event] = {}
        self.may_go: dict[str, asyncio.Event] = {}

    def expect(self, *names: str) -> None:
        for name in names:
            self.inside[name], self.may_go[name] = asyncio.Event(), asyncio.Event()

    async def __call__(
        self, scope: Scope, receive: Receive, send: Callable[[Message], Awaitable[None]]
    ) -> None:
        name = scope["path"].strip("/")
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        if message["type"] == "http.disconnect":
            self.entries.append(f"{name} gave up")
            return
        if name in self.inside:
            self.inside[name].set()
            await self.may_go[name].wait()
        self.entries.append(name)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"written"})


def browser(application: Application) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application)
    return httpx.AsyncClient(transport=transport, base_url="http://ledger", timeout=PATIENCE)


def held(token: object, resource: str = "ledger") -> dict[str, str]:
    return {TOKEN_HEADER: str(token), RESOURCE_HEADER: resource}


async def written(application: Application, path: str, headers: Headers) -> httpx.Response:
    async with browser(application) as client:
        return await client.post(path, headers=headers, content=b"entry")


def test_a_stale_token_is_refused_before_the_service_hears_of_it() -> None:
    async def body() -> None:
        ledger = Ledger()
        guarded = FencingMiddleware(ledger, MemoryFence())
        assert (await written(guarded, "/one", held(5))).status_code == 200
        assert (await written(guarded, "/two", held(8))).status_code == 200
        assert (await written(guarded, "/three", held(8))).status_code == 200
        refused = await written(guarded, "/stale", held(5))
        assert refused.status_code == 412
        assert refused.headers["content-type"] == "application/problem+json"
        problem = refused.json()
        assert problem["type"] == "urn:quorate:fencing:stale"
        assert problem["status"] == 412
        assert (problem["resource"], problem["token"], problem["highest"]) == ("ledger", 5, 8)
        assert "stop" in problem["detail"]
        assert ledger.entries == ["one", "two", "three"]
        assert (await written(guarded, "/four", held(5, "another"))).status_code == 200

    asyncio.run(body())


@pytest.mark.parametrize(
    ("headers", "status", "word"),
    [
        ({}, 428, TOKEN_HEADER),
        ({TOKEN_HEADER: "5"}, 428, RESOURCE_HEADER),
        ({RESOURCE_HEADER: "ledger"}, 428, TOKEN_HEADER),
        (held("five"), 400, "five"),
        (held("-5"), 400, "-5"),
        (held("5.0"), 400, "decimal"),
        (held("0"), 400, "held.token"),
        (held(""), 400, "decimal"),
        (held("²"), 400, "decimal"),
        (held("9" * 19), 400, "held.token"),
        (held("1" * 5000), 400, "decimal"),
        (held(5, ""), 400, "name"),
        (held(5, "%ff"), 400, "decode"),
        (held(5, "a" * 256), 400, "name"),
        ([*held(5).items(), (TOKEN_HEADER, "9")], 400, "once"),
        ([*held(5).items(), (RESOURCE_HEADER, "other")], 400, "once"),
    ],
)
def test_a_request_without_a_token_that_makes_sense_is_refused(
    headers: dict[str, str] | list[tuple[str, str]], status: int, word: str
) -> None:
    async def body() -> None:
        ledger = Ledger()
        items = headers.items() if isinstance(headers, dict) else headers
        encoded = [(name.encode(), value.encode()) for name, value in items]
        refused = await written(FencingMiddleware(ledger, MemoryFence()), "/one", encoded)
        assert refused.status_code == status
        assert refused.json()["status"] == status
        assert word in refused.json()["detail"]
        assert ledger.entries == []

    asyncio.run(body())


def test_the_service_may_say_itself_what_it_guards() -> None:
    async def body() -> None:
        ledger = Ledger()
        guarded = FencingMiddleware(ledger, MemoryFence(), resource="ledger")
        assert (await written(guarded, "/one", {TOKEN_HEADER: "8"})).status_code == 200
        assert (await written(guarded, "/two", held(5, "elsewhere"))).status_code == 412

        def by_path(scope: Scope) -> str | None:
            return None if scope["path"] == "/free" else str(scope["path"])

        guarded = FencingMiddleware(ledger, MemoryFence(), resource=by_path)
        assert (await written(guarded, "/free", {})).status_code == 200
        assert (await written(guarded, "/a", held(8))).status_code == 200
        assert (await written(guarded, "/b", held(5))).status_code == 200
        assert (await written(guarded, "/a", held(5))).status_code == 412
        assert ledger.entries == ["one", "free", "a", "b"]

    asyncio.run(body())


def test_a_fence_that_cannot_be_asked_lets_nobody_in() -> None:
    class Silent:
        async def admit(self, resource: str, token: int) -> None:
            raise OutcomeUnknown(f"no answer about {resource} and {token} in time")

    async def body() -> None:
        ledger = Ledger()
        refused = await written(FencingMiddleware(ledger, Silent()), "/one", held(5))
        assert refused.status_code == 503
        assert "no answer" in refused.json()["detail"]
        assert ledger.entries == []

    asyncio.run(body())


def test_a_newer_holder_waits_until_the_older_ones_requests_have_ended() -> None:
    async def body() -> None:
        ledger = Ledger()
        ledger.expect("older", "older too", "newer")
        fence = MemoryFence()
        guarded = FencingMiddleware(ledger, fence)
        async with asyncio.timeout(PATIENCE):
            older = [
                asyncio.ensure_future(written(guarded, f"/{name}", held(5)))
                for name in ("older", "older too")
            ]
            # Requests of one holder are served side by side.
            await ledger.inside["older"].wait()
            await ledger.inside["older too"].wait()
            newer = asyncio.ensure_future(written(guarded, "/newer", held(8)))
            await until_refused(fence, 5)
            assert (await written(guarded, "/stale", held(5))).status_code == 412
            ledger.may_go["older"].set()
            assert (await older[0]).status_code == 200
            assert not ledger.inside["newer"].is_set()
            assert (await written(guarded, "/elsewhere", held(1, "other"))).status_code == 200
            ledger.may_go["older too"].set()
            await ledger.inside["newer"].wait()
            ledger.may_go["newer"].set()
            assert (await newer).status_code == 200
            assert (await older[1]).status_code == 200
        assert ledger.entries[-1] == "newer"

    asyncio.run(body())


async def until_refused(fence: Fence, token: int) -> None:
    """Wait until a later token was let in: the fence then knows it."""
    with suppress(StaleToken):
        while True:
            await fence.admit("ledger", token)
            await asyncio.sleep(0)


def test_a_slow_answer_of_the_fence_lets_no_older_request_in_beside_a_newer_one() -> None:
    class Slow(MemoryFence):
        """Knows at once, and tells the older one late."""

        def __init__(self) -> None:
            super().__init__()
            self.decided, self.tell = asyncio.Event(), asyncio.Event()

        async def admit(self, resource: str, token: int) -> None:
            await super().admit(resource, token)
            if token == 5:
                self.decided.set()
                await self.tell.wait()

    async def body() -> None:
        ledger, fence = Ledger(), Slow()
        ledger.expect("newer")
        guarded = FencingMiddleware(ledger, fence)
        async with asyncio.timeout(PATIENCE):
            older = asyncio.ensure_future(written(guarded, "/older", held(5)))
            await fence.decided.wait()
            newer = asyncio.ensure_future(written(guarded, "/newer", held(8)))
            await until_refused(fence, 4)
            ledger.may_go["newer"].set()
            assert ledger.entries == []
            fence.tell.set()
            assert (await newer).status_code == 200
            assert (await older).status_code == 412
        assert ledger.entries == ["older gave up", "newer"]

    asyncio.run(body())


@pytest.mark.parametrize("framework", ["returns", "raises"])
def test_an_older_request_whose_body_has_not_come_is_not_waited_for(framework: str) -> None:
    async def body() -> None:
        ledger = Ledger()

        async def service(
            scope: Scope, receive: Receive, send: Callable[[Message], Awaitable[None]]
        ) -> None:
            await ledger(scope, receive, send)
            if framework == "raises" and scope["path"] == "/older":
                raise ConnectionError("the client is gone")

        guarded = FencingMiddleware(service, MemoryFence())
        listening = asyncio.Event()

        async def paused() -> Message:
            listening.set()
            await asyncio.Event().wait()
            raise AssertionError("the client never goes on")

        answer: list[Message] = []

        async def send(message: Message) -> None:
            answer.append(message)

        async with asyncio.timeout(PATIENCE):
            older = asyncio.ensure_future(guarded(request("/older", 5), paused, send))
            await listening.wait()
            assert (await written(guarded, "/newer", held(8))).status_code == 200
            await older
        assert ledger.entries == ["older gave up", "newer"]
        assert answer[0]["status"] == 412

    asyncio.run(body())


def test_a_request_that_fails_or_is_cancelled_is_not_waited_for() -> None:
    async def body() -> None:
        entered = asyncio.Event()

        async def failing(scope: Scope, *_: object) -> None:
            if scope["path"] == "/fails":
                raise RuntimeError("as services do")
            entered.set()
            await asyncio.Event().wait()

        fence = MemoryFence()
        guarded = FencingMiddleware(failing, fence)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(RuntimeError, match="as services do"):
                await written(guarded, "/fails", held(5))
            one = asyncio.ensure_future(written(guarded, "/hangs", held(6)))
            await entered.wait()
            two = asyncio.ensure_future(written(guarded, "/waits", held(7)))
            await until_refused(fence, 6)
            two.cancel()
            one.cancel()
            await asyncio.gather(one, two, return_exceptions=True)
            with pytest.raises(RuntimeError, match="as services do"):
                await written(guarded, "/fails", held(8))

    asyncio.run(body())


def request(path: str, token: int, kind: str = "http", **more: Any) -> dict[str, Any]:
    headers = [(name.lower().encode(), value.encode()) for name, value in held(token).items()]
    return {"type": kind, "path": path, "headers": headers, **more}


class Socket:
    """A websocket's client, as a service sees it."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return {"type": "websocket.connect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def accept(
    scope: Scope, receive: Receive, send: Callable[[Message], Awaitable[None]]
) -> None:
    del scope
    await receive()
    await send({"type": "websocket.accept"})


def test_a_websocket_is_asked_at_its_handshake() -> None:
    async def body() -> None:
        guarded = FencingMiddleware(accept, MemoryFence())
        one, two, three = Socket(), Socket(), Socket()
        await guarded(request("/", 8, "websocket"), one.receive, one.send)
        assert one.sent == [{"type": "websocket.accept"}]
        await guarded(request("/", 5, "websocket", extensions=None), two.receive, two.send)
        assert [message["type"] for message in two.sent] == ["websocket.close"]
        can: dict[str, object] = {"websocket.http.response": {}}
        await guarded(request("/", 5, "websocket", extensions=can), three.receive, three.send)
        assert three.sent[0]["status"] == 412
        assert three.sent[0]["type"] == "websocket.http.response.start"
        assert b"urn:quorate:fencing:stale" in three.sent[1]["body"]

    asyncio.run(body())


def test_the_lifespan_of_a_service_needs_no_token() -> None:
    async def body() -> None:
        seen: list[str] = []

        async def service(scope: Scope, *_: object) -> None:
            seen.append(scope["type"])

        socket = Socket()
        guarded = FencingMiddleware(service, MemoryFence())
        await guarded({"type": "lifespan"}, socket.receive, socket.send)
        assert seen == ["lifespan"]

    asyncio.run(body())

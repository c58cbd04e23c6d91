"""How clients send their token, and do not once the lock is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web

import quorate
from quorate import LockLost
from quorate.fencing import (
    FencingMiddleware,
    MemoryFence,
    fencing_auth,
    fencing_client_middleware,
    fencing_headers,
)
from quorate.fencing.asgi import Scope
from quorate.fencing.headers import RESOURCE_HEADER, TOKEN_HEADER

NAME = "Bücher/42"


def test_the_headers_are_the_token_and_the_name() -> None:
    with quorate.Client("memory:") as client:
        held = client.lock(NAME).acquire()
        assert fencing_headers(held) == {
            TOKEN_HEADER: str(held.token),
            RESOURCE_HEADER: "B%C3%BCcher/42",
        }
    with pytest.raises(LockLost):
        fencing_headers(held)


def test_an_async_httpx_client_signs_every_request() -> None:
    async def body() -> None:
        async def service(scope: Scope, _: object, send: Callable[[Any], Any]) -> None:
            del scope
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        guarded = FencingMiddleware(service, MemoryFence())
        transport = httpx.ASGITransport(guarded)
        async with quorate.AsyncClient("memory:") as client:
            async with client.lock(NAME) as older:
                pass
            async with client.lock(NAME) as newer:
                asked = [
                    httpx.AsyncClient(
                        transport=transport, base_url="http://books", auth=fencing_auth(each)
                    )
                    for each in (newer, older)
                ]
                assert (await asked[0].post("/")).status_code == 200
                refused = await asked[1].post("/")
                assert refused.status_code == 412
                assert refused.json()["resource"] == NAME
        with pytest.raises(LockLost):
            await asked[0].post("/")
        for each in asked:
            await each.aclose()

    asyncio.run(body())


def test_a_blocking_httpx_client_does_too() -> None:
    seen: list[str] = []

    def service(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(environ["HTTP_QUORATE_FENCING_TOKEN"])
        start("200 OK", [])
        return [b""]

    with quorate.Client("memory:") as client, client.lock(NAME) as held:
        transport = httpx.WSGITransport(service)
        with httpx.Client(transport=transport, auth=fencing_auth(held)) as asked:
            asked.post("http://books/")
        assert seen == [str(held.token)]


def test_a_session_of_aiohttp_does_too() -> None:
    async def body() -> None:
        seen: list[str] = []

        async def service(request: web.Request) -> web.Response:
            seen.append(request.headers[TOKEN_HEADER])
            return web.Response()

        application = web.Application()
        application.add_routes([web.post("/", service)])
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with quorate.AsyncClient("memory:") as client:
            held = await client.lock(NAME).acquire()
            session = aiohttp.ClientSession(middlewares=[fencing_client_middleware(held)])
            async with session.post(address) as answer:
                assert answer.status == 200
        with pytest.raises(LockLost):
            await session.post(address)
        await session.close()
        await runner.cleanup()
        assert seen == [str(held.token)]

    asyncio.run(body())

"""HTTP and gRPC clients of other libraries find the instances of a service."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import grpc.aio
import httpx
import pytest
import trustme
from aiohttp import web

import quorate
from quorate.cli.processes import free_ports
from quorate.discovery.aiohttp import ViewResolver
from quorate.discovery.grpc import ROUND_ROBIN, grpc_target
from quorate.discovery.httpx import AsyncViewTransport, ViewTransport
from quorate.errors import InvalidRequest, NoInstance
from quorate.recipes import InstanceView, Registry

PATIENCE = 30.0


async def answer(request: web.Request) -> web.Response:
    """Say which server this is, what it was called, and what it was sent."""
    assert request.transport is not None
    port = request.transport.get_extra_info("sockname")[1]
    body = await request.text()
    return web.json_response({"port": port, "host": request.host, "body": body})


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A real server on this machine; gives its port."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def service(*addresses: str) -> AsyncIterator[tuple[Registry, InstanceView]]:
    """A registry in which these are registered, and a view that knows them."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(quorate.AsyncClient("memory:"))
        registry = client.registry("api")
        view = await stack.enter_async_context(registry.view())
        for address in addresses:
            await stack.enter_async_context(registry.register(address))
        await view.wait(len(addresses))
        yield registry, view


def session_with(view: InstanceView) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        resolver=ViewResolver({"api.quorate": view}), use_dns_cache=False, force_close=True
    )
    return aiohttp.ClientSession(connector=connector)


async def asked(session: aiohttp.ClientSession, url: str = "http://api.quorate/") -> int:
    async with session.get(url) as response:
        return int((await response.json())["port"])


def test_aiohttp_goes_round_the_instances_at_their_own_ports() -> None:
    async def body() -> None:
        async with (
            serving() as one,
            serving() as two,
            # A name of DNS is resolved as ever.
            service(f"127.0.0.1:{one}", f"localhost:{two}") as (_, view),
            session_with(view) as session,
        ):
            assert Counter([await asked(session) for _ in range(4)]) == {one: 2, two: 2}
            async with session.get("http://api.quorate/path") as response:
                assert (await response.json())["host"] == "api.quorate"
            # Hosts that are no service are what they are.
            assert await asked(session, f"http://localhost:{one}/") == one

    asyncio.run(body())


def test_aiohttp_passes_over_an_instance_that_can_not_be_connected_to() -> None:
    async def body() -> None:
        (dead,) = free_ports(1)
        async with (
            serving() as alive,
            service(f"127.0.0.1:{dead}", f"127.0.0.1:{alive}") as (_, view),
            session_with(view) as session,
        ):
            assert [await asked(session) for _ in range(4)] == [alive] * 4

    asyncio.run(body())


def test_aiohttp_is_told_when_nobody_is_there() -> None:
    async def body() -> None:
        async with service() as (_, view), session_with(view) as session:
            with pytest.raises(aiohttp.ClientConnectorDNSError) as raised:
                await asked(session)
            assert isinstance(raised.value.__cause__, OSError)
            assert isinstance(raised.value.__cause__.__cause__, NoInstance)
        async with service("127.0.0.1:1") as (_, view):
            resolver = ViewResolver({"a": view})
            assert await resolver.resolve("a", family=socket.AF_INET6) == []
            await resolver.close()

    asyncio.run(body())


def test_httpx_goes_round_the_instances_and_passes_over_who_is_dead() -> None:
    async def body() -> None:
        (dead,) = free_ports(1)
        async with (
            serving() as one,
            serving() as two,
            service(*(f"127.0.0.1:{port}" for port in (one, dead, two))) as (_, view),
            httpx.AsyncClient(mounts={"all://api": AsyncViewTransport(view)}) as client,
        ):
            answers = [(await client.post("http://api/x", content="hello")) for _ in range(6)]
            said = [answer.json() for answer in answers]
            assert {each["port"] for each in said} == {one, two}
            assert {(each["host"], each["body"]) for each in said} == {("api", "hello")}
            assert str(answers[0].request.url) == "http://api/x"
            down = next(each for each in view.instances if each.port == dead)
            assert down not in [view.pick() for _ in range(6)]
            direct = await client.get(f"http://127.0.0.1:{one}/")
            assert direct.json()["port"] == one

    asyncio.run(body())


def test_httpx_raises_its_own_error_when_nobody_can_be_reached() -> None:
    async def body() -> None:
        dead = free_ports(2)
        for addresses in ((), tuple(f"127.0.0.1:{port}" for port in dead)):
            async with (
                service(*addresses) as (_, view),
                httpx.AsyncClient(mounts={"all://api": AsyncViewTransport(view)}) as client,
            ):
                with pytest.raises(httpx.ConnectError):
                    await client.get("http://api/")

    asyncio.run(body())


def test_httpx_checks_a_certificate_against_the_name_of_the_service() -> None:
    async def body() -> None:
        authority = trustme.CA()
        server, client_side = (
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
            ssl.create_default_context(),
        )
        authority.issue_cert("api").configure_cert(server)
        authority.configure_trust(client_side)
        async with (
            serving(server) as port,
            service(f"127.0.0.1:{port}") as (_, view),
            httpx.AsyncClient(
                mounts={
                    f"all://{name}": AsyncViewTransport(
                        view, httpx.AsyncHTTPTransport(verify=client_side)
                    )
                    for name in ("api", "other")
                }
            ) as client,
        ):
            assert (await client.get("https://api/")).json()["port"] == port
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await client.get("https://other/")

    asyncio.run(body())


def test_the_blocking_httpx_has_the_same() -> None:
    (dead,) = free_ports(1)

    def use(one: int) -> None:
        with (
            quorate.Client("memory:") as client,
            client.registry("api").register(f"127.0.0.1:{dead}"),
            client.registry("api").register(f"127.0.0.1:{one}"),
            client.registry("api").view() as view,
            httpx.Client(mounts={"all://api": ViewTransport(view)}) as http,
        ):
            said = [http.post("http://api/", content="hello").json() for _ in range(4)]
            assert {(each["port"], each["body"]) for each in said} == {(one, "hello")}
            assert http.get(f"http://127.0.0.1:{one}/").json()["port"] == one
            with (
                client.registry("none").view() as empty,
                httpx.Client(transport=ViewTransport(empty)) as other,
                pytest.raises(httpx.ConnectError, match="no instance"),
            ):
                other.get("http://none/")

    async def body() -> None:
        async with serving() as one:
            await asyncio.to_thread(use, one)

    asyncio.run(body())


@asynccontextmanager
async def serving_grpc(host: str) -> AsyncIterator[int]:
    server = grpc.aio.server()

    async def name(_: bytes, __: object) -> bytes:
        return str(port).encode()

    handler = grpc.method_handlers_generic_handler(
        "Names", {"Name": grpc.unary_unary_rpc_method_handler(name)}
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_grpc_channel_goes_round_the_instances(host: str) -> None:
    async def body() -> None:
        async with (
            serving_grpc(host) as one,
            serving_grpc(host) as two,
            service(f"{host}:{one}", f"{host}:{two}") as (_, view),
            grpc.aio.insecure_channel(grpc_target(view), options=ROUND_ROBIN) as channel,
            asyncio.timeout(PATIENCE),
        ):
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                "/Names/Name"
            )
            seen: set[bytes] = set()
            while len(seen) < 2:
                seen.add(await call(b"", wait_for_ready=True))
            assert seen == {str(one).encode(), str(two).encode()}

    asyncio.run(body())


def test_a_grpc_target_says_what_it_can_not_say() -> None:
    async def body() -> None:
        async with service() as (_, view):
            with pytest.raises(NoInstance):
                grpc_target(view)
        for addresses, message in (
            (("localhost:1",), "IP addresses only"),
            (("127.0.0.1:1", "[::1]:1"), "one family"),
        ):
            async with service(*addresses) as (_, view):
                with pytest.raises(InvalidRequest, match=message):
                    grpc_target(view)
        async with service("10.0.0.1:1", "10.0.0.2:2") as (_, view):
            assert grpc_target(view) == "ipv4:10.0.0.1:1,10.0.0.2:2"

    asyncio.run(body())

"""HTTP/1.1 on the same port, and requests of HTTP/2 that are no gRPC."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from quorate.gateways.grpc import frames
from quorate.gateways.grpc.limits import GrpcLimits
from quorate.gateways.grpc.server import GrpcServer

from .places import LOOPS, PATIENCE, Service, is_well, run, serving, wire_to

all_loops = pytest.mark.parametrize("loop", LOOPS)
REQUEST = b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


class Pages:
    """An application with an answer, an echo, and an answer that comes in pieces."""

    def __init__(self) -> None:
        self.application = web.Application()
        self.application.add_routes(
            [
                web.get("/health", self._health),
                web.post("/echo", self._echo),
                web.get("/pieces", self._pieces),
                web.get("/broken", self._broken),
            ]
        )
        self.next = asyncio.Event()
        self.waiting = asyncio.Event()

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"health": "true"})

    async def _echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def _broken(self, _: web.Request) -> web.Response:
        raise ValueError("the password is 1234")

    async def _pieces(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one,")
        self.waiting.set()
        await self.next.wait()
        await response.write(b"two")
        return response


@asynccontextmanager
async def serving_pages(
    limits: GrpcLimits | None = None,
) -> AsyncIterator[tuple[GrpcServer, Pages, str]]:
    pages = Pages()
    async with serving(Service(), http=pages.application, limits=limits) as server:
        yield server, pages, f"http://127.0.0.1:{server.port}"


@all_loops
def test_both_protocols_are_served_on_one_port(loop: str) -> None:
    async def main() -> None:
        async with serving_pages() as (server, _, url), aiohttp.ClientSession() as session:
            for _attempt in range(3):
                async with session.get(f"{url}/health") as answer:
                    assert await answer.json() == {"health": "true"}
                await is_well(server)
            async with session.get(f"{url}/nothing") as answer:
                assert answer.status == 404

    run(loop, main)


@all_loops
def test_large_bodies_pass_both_ways(loop: str) -> None:
    async def main() -> None:
        async with serving_pages() as (_, __, url), aiohttp.ClientSession() as session:
            body = bytes(range(256)) * 3000
            async with session.post(f"{url}/echo", data=body) as answer:
                assert await answer.read() == body

    run(loop, main)


@all_loops
def test_an_answer_in_pieces_comes_in_pieces(loop: str) -> None:
    async def main() -> None:
        async with (
            serving_pages() as (_, pages, url),
            aiohttp.ClientSession() as session,
            session.get(f"{url}/pieces") as answer,
        ):
            assert await answer.content.readexactly(4) == b"one,"
            pages.next.set()
            assert await answer.content.read() == b"two"

    run(loop, main)


@all_loops
def test_a_request_that_comes_byte_by_byte_is_served(loop: str) -> None:
    async def main() -> None:
        async with serving_pages() as (server, _, __), wire_to(server, greet=b"") as wire:
            for byte in REQUEST:
                wire.send(bytes([byte]))
                await wire.writer.drain()
                await asyncio.sleep(0)
            assert (await wire.reader.read()).endswith(b'{"health": "true"}')

    run(loop, main)


@all_loops
@pytest.mark.parametrize("start", [b"PRO * HTTP/1.1", b"P HTTP/1.1", b"PRI * HTTP/2.1"])
def test_a_beginning_like_the_preface_is_none(loop: str, start: bytes) -> None:
    async def main() -> None:
        greet = start + b"\r\nHost: test\r\n\r\n"
        async with serving_pages() as (server, _, __), wire_to(server, greet=greet) as wire:
            assert b" 40" in await wire.reader.readline()

    run(loop, main)


@all_loops
def test_what_is_no_protocol_at_all_is_refused_and_not_logged(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with serving_pages() as (server, _, __):
            async with wire_to(server, greet=b"\x16\x03\x01\r\n\r\n") as wire:
                assert b"400" in await wire.reader.readline()
            async with wire_to(server, greet=b"x" * 100_000) as wire:
                assert b"400" in await wire.reader.readline()
            await is_well(server)

    run(loop, main)
    assert caplog.text == ""


@all_loops
def test_what_goes_wrong_in_the_application_is_logged(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with (
            serving_pages() as (_, __, url),
            aiohttp.ClientSession() as session,
            session.get(f"{url}/broken") as answer,
        ):
            assert answer.status == 500
            assert "1234" not in await answer.text()

    run(loop, main)
    assert "the password is 1234" in caplog.text


@all_loops
def test_without_an_application_http1_is_cut(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server, greet=REQUEST) as wire:
            await wire.read_end()

    run(loop, main)


@all_loops
def test_its_connections_count(loop: str) -> None:
    async def main() -> None:
        async with serving_pages(GrpcLimits(connections=2)) as (server, _, __):
            kept = REQUEST.replace(b"Connection: close\r\n", b"")
            async with (
                wire_to(server, greet=kept) as first,
                wire_to(server) as second,
            ):
                await first.reader.readline()
                await second.read_until(frames.SETTINGS)
                assert server.connections == 2
                async with wire_to(server) as third:
                    await third.read_end()

    run(loop, main)


@all_loops
def test_an_answer_that_goes_on_too_long_is_cut_at_the_end(loop: str) -> None:
    async def main() -> None:
        limits = GrpcLimits(grace_seconds=0.05)
        async with aiohttp.ClientSession() as session:
            async with serving_pages(limits) as (_, pages, url):
                answer = await session.get(f"{url}/pieces")
                await pages.waiting.wait()
            with pytest.raises(aiohttp.ClientError):
                await answer.read()

    run(loop, main)


@all_loops
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"content_type": "application/json"}, "415"),
        ({"content_type": "application/grpcx"}, "415"),
        ({"content_type": "text/application/grpc"}, "415"),
        ({":method": "GET"}, "405"),
    ],
)
def test_a_request_of_http2_that_is_no_grpc_is_refused(
    loop: str, fields: dict[str, str], status: str
) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            block = wire.request(**fields)
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 1, block)
            assert (await wire.read_fields(1))[":status"] == status
            # The client need not send its request to the end.
            assert (await wire.read_until(frames.RST_STREAM, 1)).payload == bytes(4)

    run(loop, main)


@all_loops
@pytest.mark.parametrize(
    "kind", ["application/grpc+proto", "application/grpc;x", "APPLICATION/GRPC"]
)
def test_grpc_has_several_names(loop: str, kind: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            block = wire.request(content_type=kind)
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 1, block)
            wire.send_frame(frames.DATA, frames.END_STREAM, 1, bytes(5))
            assert (await wire.read_fields(1))[":status"] == "200"
            assert (await wire.read_fields(1))["grpc-status"] == "0"

    run(loop, main)


async def curl(*arguments: str) -> str:
    """Run curl and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        "curl",
        *("--silent", "--show-error", "--max-time", str(int(PATIENCE))),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return out.decode()


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: make peers")
def test_curl_is_served() -> None:
    async def main() -> None:
        async with serving_pages() as (_, pages, url):
            assert await curl(f"{url}/health") == '{"health": "true"}'
            assert await curl("--http2", f"{url}/health") == '{"health": "true"}'
            assert await curl("--data", "key=value", f"{url}/echo") == "key=value"
            pages.next.set()
            assert await curl("--no-buffer", f"{url}/pieces") == "one,two"
            status = ("--output", "/dev/null", "--write-out", "%{http_version} %{http_code}")
            known = ("--http2-prior-knowledge", f"{url}/health")
            assert await curl(*status, *known) == "2 415"

    run("uvloop", main)

"""Mutual TLS: clients of both protocols show a certificate; renewed files need no restart."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
import trustme
from aiohttp import web

from quorate.gateways.grpc import frames
from quorate.gateways.grpc.frames import PREFACE, frame
from quorate.runtime.transport.tls import TlsConfig

from .places import LOOPS, TELL, UNARY, Service, Wire, run, serving, unary_unary

all_loops = pytest.mark.parametrize("loop", LOOPS)


def write_certificate(directory: Path, authority: trustme.CA, name: str) -> TlsConfig:
    """(Re)place the three files of one party."""
    directory.mkdir(exist_ok=True)
    issued = authority.issue_cert("127.0.0.1", common_name=name)
    paths = [directory / part for part in ("one.pem", "one.key", "authority.pem")]
    issued.cert_chain_pems[0].write_to_path(paths[0])
    issued.private_key_pem.write_to_path(paths[1])
    authority.cert_pem.write_to_path(paths[2])
    return TlsConfig(*map(str, paths))


def secure_channel(tls: TlsConfig, port: int) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(
        Path(tls.authority).read_bytes(),
        Path(tls.key).read_bytes(),
        Path(tls.certificate).read_bytes(),
    )
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials)


async def first_byte(port: int, context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(PREFACE)
        return await reader.readexactly(1)
    finally:
        writer.close()


async def health(_: web.Request) -> web.Response:
    return web.json_response({"health": "true"})


def pages() -> web.Application:
    application = web.Application()
    application.add_routes([web.get("/health", health)])
    return application


@all_loops
def test_clients_of_both_protocols_are_served_and_named(loop: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    server_files = write_certificate(tmp_path / "server", authority, "server")
    client_files = write_certificate(tmp_path / "client", authority, "client-1")

    async def main() -> None:
        async with serving(Service(), http=pages(), tls=server_files) as server:
            async with secure_channel(client_files, server.port) as channel:
                told = json.loads(await unary_unary(channel, TELL)(b""))
                assert told["name"] == "client-1"
                assert told["address"].startswith("127.0.0.1:")
                big = bytes(range(256)) * 5000
                assert await unary_unary(channel, UNARY)(big) == big
            url = f"https://127.0.0.1:{server.port}/health"
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, ssl=client_files.client_context()) as answer,
            ):
                assert await answer.json() == {"health": "true"}

    run(loop, main)


@all_loops
@pytest.mark.parametrize("offered", [["h2"], ["http/1.1"], ["h2", "http/1.1"], []])
def test_the_first_bytes_decide_whatever_was_agreed(
    loop: str, offered: list[str], tmp_path: Path
) -> None:
    authority = trustme.CA()
    server_files = write_certificate(tmp_path / "server", authority, "server")
    client_files = write_certificate(tmp_path / "client", authority, "client")
    context = client_files.client_context()
    if offered:
        context.set_alpn_protocols(offered)

    async def main() -> None:
        async with serving(Service(), http=pages(), tls=server_files) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
            assert agreed == (offered[0] if offered else None)
            writer.write(PREFACE + frame(frames.SETTINGS, 0, 0))
            await Wire(reader, writer).read_until(frames.SETTINGS)
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            writer.write(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            writer.close()

    run(loop, main)


@all_loops
def test_without_a_certificate_of_ours_nobody_is_served(loop: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    server_files = write_certificate(tmp_path / "server", authority, "server")
    client_files = write_certificate(tmp_path / "client", authority, "client")
    stranger = write_certificate(tmp_path / "stranger", trustme.CA(), "stranger")
    half = TlsConfig(stranger.certificate, stranger.key, server_files.authority)
    naked = ssl.create_default_context(cafile=server_files.authority)

    async def main() -> None:
        async with serving(Service(), http=pages(), tls=server_files) as server:
            for context in (half.client_context(), naked):
                # In TLS 1.3 the server judges last.
                with pytest.raises((OSError, EOFError)):
                    await first_byte(server.port, context)
            async with secure_channel(half, server.port) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await unary_unary(channel, UNARY)(b"")
                assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(PREFACE)
            assert PREFACE not in await reader.read()
            writer.close()
            async with secure_channel(client_files, server.port) as channel:
                assert await unary_unary(channel, UNARY)(b"mine") == b"mine"

    run(loop, main)


@all_loops
def test_renewed_files_are_taken_without_a_restart(loop: str, tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    server_files = write_certificate(tmp_path / "server", old, "server")
    old_client = write_certificate(tmp_path / "old", old, "old")
    new_client = write_certificate(tmp_path / "new", new, "new")

    async def main() -> None:
        async with (
            serving(Service(), tls=server_files) as server,
            secure_channel(old_client, server.port) as kept,
        ):
            assert await unary_unary(kept, UNARY)(b"old") == b"old"
            write_certificate(tmp_path / "server", new, "server")
            async with secure_channel(new_client, server.port) as channel:
                told = json.loads(await unary_unary(channel, TELL)(b""))
                assert told["name"] == "new"
            context = new_client.client_context()
            context.set_alpn_protocols(["h2"])
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            writer.close()
            async with secure_channel(old_client, server.port) as channel:
                with pytest.raises(grpc.aio.AioRpcError):
                    await unary_unary(channel, UNARY)(b"")
            # Connections that were open live on.
            assert await unary_unary(kept, UNARY)(b"still") == b"still"

    run(loop, main)

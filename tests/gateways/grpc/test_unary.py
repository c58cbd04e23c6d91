"""Calls with one request and one response, by the usual client."""

from __future__ import annotations

import asyncio
import json
import logging

import grpc
import grpc.aio
import pytest

from quorate.gateways.grpc.limits import GrpcLimits

from .places import (
    BREAK,
    FAIL,
    LOOPS,
    PATIENCE,
    TELL,
    UNARY,
    WAIT,
    Service,
    channel_to,
    is_well,
    run,
    serving,
    unary_unary,
)

all_loops = pytest.mark.parametrize("loop", LOOPS)


@all_loops
@pytest.mark.parametrize("size", [0, 1, 256, 16_379, 16_380, 70_000, 1_500_000])
def test_a_message_of_any_size_comes_back_as_it_was(loop: str, size: int) -> None:
    sent = bytes(range(256)) * (size // 256) + bytes(size % 256)

    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            call = unary_unary(channel, UNARY)
            assert await call(sent) == sent
            assert await call(sent) == sent

    run(loop, main)


@all_loops
def test_the_blocking_client_is_served_as_well(loop: str) -> None:
    def ask(port: int) -> list[bytes]:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(UNARY)
            return [call(b"%d" % number, timeout=PATIENCE) for number in range(20)]

    async def main() -> None:
        async with serving(Service()) as server:
            assert await asyncio.to_thread(ask, server.port) == [b"%d" % n for n in range(20)]

    run(loop, main)


@all_loops
def test_calls_on_one_connection_do_not_wait_for_each_other(loop: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, channel_to(server) as channel:
            waiting = [unary_unary(channel, WAIT)(b"%d" % number) for number in range(1000)]
            for _ in waiting:
                await service.started.get()
            assert await unary_unary(channel, UNARY)(b"in between") == b"in between"
            assert server.connections == 1
            service.go_on.set()
            answers = await asyncio.gather(*waiting)
            assert answers == [b"%d" % number for number in range(1000)]

    run(loop, main)


@all_loops
def test_calls_over_the_bound_wait_in_the_client(loop: str) -> None:
    async def main() -> None:
        service = Service()
        limits = GrpcLimits(streams=10)
        async with (
            serving(service, limits=limits) as server,
            channel_to(server) as channel,
        ):
            calls = [unary_unary(channel, WAIT)(b"%d" % number) for number in range(50)]
            for _ in range(10):
                await service.started.get()
            service.go_on.set()
            assert await asyncio.gather(*calls) == [b"%d" % number for number in range(50)]

    run(loop, main)


@all_loops
@pytest.mark.parametrize(
    "message",
    ["etcdserver: key is not provided", "Schlüssel fehlt: 100 % 鍵", "a\nb\r\tc", ""],
)
def test_an_error_arrives_with_its_code_and_every_character(loop: str, message: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary_unary(channel, FAIL)(f"5:{message}".encode())
            assert raised.value.code() is grpc.StatusCode.NOT_FOUND
            assert raised.value.details() == message

    run(loop, main)


@all_loops
def test_a_message_that_is_far_too_long_is_cut_at_a_character(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary_unary(channel, FAIL)(b"5:x" + "é".encode() * 5000)
            details = raised.value.details()
            assert details is not None
            assert details.startswith("xéé")
            assert details.endswith("éé")

    run(loop, main)


@all_loops
def test_what_a_handler_did_not_mean_to_raise_is_logged_and_not_told(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary_unary(channel, BREAK)(b"the password is 1234")
            assert raised.value.code() is grpc.StatusCode.INTERNAL
            assert "1234" not in str(raised.value.details())
            await is_well(server)

    run(loop, main)
    assert "the handler of /test.Service/Break failed" in caplog.text
    assert "the password is 1234" in caplog.text


@all_loops
def test_a_request_that_cannot_be_decoded_is_the_clients_fault(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary_unary(channel, UNARY)(b"unreadable")
            assert raised.value.code() is grpc.StatusCode.INTERNAL
            assert raised.value.details() == "grpc: error unmarshalling request"

    run(loop, main)
    assert caplog.text == ""


@all_loops
@pytest.mark.parametrize(
    ("path", "details"),
    [
        ("/test.Service/Nothing", "unknown method Nothing for service test.Service"),
        ("/other.Service/Unary", "unknown service other.Service"),
        ("/Unary", 'malformed method name: "/Unary"'),
    ],
)
def test_what_is_not_served_is_unimplemented_in_the_words_of_grpc_go(
    loop: str, path: str, details: str
) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary_unary(channel, path)(b"")
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert raised.value.details() == details

    run(loop, main)


@all_loops
def test_a_handler_is_told_who_calls_and_with_which_headers(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            metadata = (("token", "abc.1"), ("x-twice", "1"), ("x-twice", "2"))
            told = json.loads(
                await unary_unary(channel, TELL)(b"", metadata=metadata, timeout=PATIENCE)
            )
            assert told["metadata"]["token"] == "abc.1"
            assert told["metadata"]["x-twice"] == "1,2"
            assert told["metadata"]["content-type"] == "application/grpc"
            assert not [name for name in told["metadata"] if name.startswith(":")]
            # The client rounds, and never down.
            assert PATIENCE <= told["deadline"] < PATIENCE + 5
            assert told["address"].startswith("127.0.0.1:")
            assert told["name"] == ""
            again = json.loads(await unary_unary(channel, TELL)(b""))
            assert again["deadline"] is None
            assert "token" not in again["metadata"]

    run(loop, main)


@all_loops
def test_headers_that_change_with_each_call_are_not_mixed_up(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            call = unary_unary(channel, TELL)
            for number in range(300):
                told = json.loads(await call(b"", metadata=(("x-number", str(number % 90)),)))
                assert told["metadata"]["x-number"] == str(number % 90)

    run(loop, main)


@all_loops
def test_compressed_requests_are_read(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            call = unary_unary(channel, UNARY)
            sent = b"the same again and again; " * 2000
            assert await call(sent, compression=grpc.Compression.Gzip) == sent
            assert await call(b"", compression=grpc.Compression.Gzip) == b""

    run(loop, main)


@all_loops
def test_an_encoding_that_is_not_spoken_is_named(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary_unary(channel, UNARY)(b"x" * 1000, compression=grpc.Compression.Deflate)
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert 'not installed for grpc-encoding "deflate"' in str(raised.value.details())

    run(loop, main)


@all_loops
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_over_the_limit_is_refused(loop: str, compression: grpc.Compression) -> None:
    async def main() -> None:
        limits = GrpcLimits(message_bytes=100_000)
        async with (
            serving(Service(), limits=limits) as server,
            channel_to(server) as channel,
        ):
            call = unary_unary(channel, UNARY)
            assert len(await call(bytes(100_000), compression=compression)) == 100_000
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call(bytes(100_001), compression=compression)
            assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "larger than max (100001 vs. 100000)" in str(raised.value.details())
            assert await call(b"goes on") == b"goes on"

    run(loop, main)


@all_loops
def test_requests_in_progress_are_bounded_together(loop: str) -> None:
    async def main() -> None:
        service = Service()
        limits = GrpcLimits(request_bytes=250_000)
        async with (
            serving(service, limits=limits) as server,
            channel_to(server) as channel,
        ):
            data = b"x" * 100_000
            first = [unary_unary(channel, WAIT)(data) for _ in range(2)]
            for _ in first:
                await service.started.get()
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary_unary(channel, WAIT)(data)
            assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            service.go_on.set()
            await asyncio.gather(*first)
            assert await unary_unary(channel, UNARY)(data) == data

    run(loop, main)

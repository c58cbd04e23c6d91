"""Calls with many messages, by the usual client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from quorate.gateways.grpc.codes import Code, RpcError
from quorate.gateways.grpc.limits import GrpcLimits
from quorate.gateways.grpc.methods import StreamCall, StreamMethod

from .places import (
    CHAT,
    COLLECT,
    COUNT,
    IGNORE,
    LOOPS,
    Service,
    channel_to,
    is_well,
    run,
    same,
    serving,
    stream_stream,
    stream_unary,
    unary_stream,
)

all_loops = pytest.mark.parametrize("loop", LOOPS)
ODD = "/test.Service/Odd"


async def several(number: int, size: int = 8) -> AsyncIterator[bytes]:
    for index in range(number):
        yield b"%08d" % index + bytes(size - 8)


@all_loops
def test_each_message_of_a_conversation_is_answered_when_it_comes(loop: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, channel_to(server) as channel:
            chat = stream_stream(channel, CHAT)()
            for text in (b"one", b"", b"three" * 50_000):
                await chat.write(text)
                assert await chat.read() == text
            await chat.done_writing()
            assert await chat.read() is grpc.aio.EOF
            assert await chat.code() is grpc.StatusCode.OK
            assert await service.ended.get() == "finished"

    run(loop, main)


@all_loops
def test_many_conversations_share_a_connection(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            chats = [stream_stream(channel, CHAT)() for _ in range(1000)]
            for number, chat in enumerate(chats):
                await chat.write(b"%d" % number)
            for number, chat in enumerate(chats):
                assert await chat.read() == b"%d" % number
            for chat in chats:
                await chat.done_writing()
            for chat in chats:
                assert await chat.code() is grpc.StatusCode.OK
            assert server.connections == 1

    run(loop, main)


@all_loops
@pytest.mark.parametrize(("number", "size"), [(0, 8), (1, 8), (10_000, 8), (100, 100_000)])
def test_a_stream_of_responses_arrives_whole_and_in_order(
    loop: str, number: int, size: int
) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            call = unary_stream(channel, COUNT)(b"%d %d" % (number, size))
            got = [message async for message in call]
            assert [int(message[:8]) for message in got] == list(range(number))
            assert {len(message) for message in got} <= {size}

    run(loop, main)


@all_loops
@pytest.mark.parametrize(("number", "size"), [(0, 8), (1, 8), (10_000, 8), (30, 100_000)])
def test_a_stream_of_requests_arrives_whole_and_in_order(loop: str, number: int, size: int) -> None:
    async def main() -> None:
        service = Service()
        service.go_on.set()
        async with serving(service) as server, channel_to(server) as channel:
            got = await stream_unary(channel, COLLECT)(several(number, size))
            assert got == b"".join([message async for message in several(number, size)])

    run(loop, main)


@all_loops
def test_requests_may_be_compressed_one_by_one(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            chat = stream_stream(channel, CHAT)(compression=grpc.Compression.Gzip)
            for text in (b"a" * 100_000, b"", b"x"):
                await chat.write(text)
                assert await chat.read() == text
            await chat.done_writing()
            assert await chat.code() is grpc.StatusCode.OK

    run(loop, main)


@all_loops
def test_a_client_gets_no_further_ahead_than_its_window(loop: str) -> None:
    async def main() -> None:
        service = Service()
        limits = GrpcLimits(stream_window_bytes=65_535)
        async with (
            serving(service, limits=limits) as server,
            channel_to(server) as channel,
        ):
            call = stream_unary(channel, IGNORE)()
            written = 0

            async def write() -> None:
                nonlocal written
                for _ in range(1000):
                    await call.write(bytes(10_000))
                    written += 1
                await call.done_writing()

            writing = asyncio.create_task(write())
            await service.started.get()
            # Others are served however much this one has sent.
            for _ in range(20):
                await is_well(server)
                chat = stream_stream(channel, CHAT)()
                await chat.write(b"hello")
                assert await chat.read() == b"hello"
                chat.cancel()
            assert written < 100
            service.go_on.set()
            await writing
            assert await call == b"10000000"

    run(loop, main)


@all_loops
def test_a_message_larger_than_the_window_is_taken_nevertheless(loop: str) -> None:
    async def main() -> None:
        limits = GrpcLimits(stream_window_bytes=65_535, connection_window_bytes=65_535)
        async with (
            serving(Service(), limits=limits) as server,
            channel_to(server) as channel,
        ):
            chat = stream_stream(channel, CHAT)()
            for _ in range(3):
                await chat.write(b"x" * 1_000_000)
                assert await chat.read() == b"x" * 1_000_000
            await chat.done_writing()
            assert await chat.code() is grpc.StatusCode.OK

    run(loop, main)


@all_loops
def test_a_message_over_the_limit_ends_the_call(loop: str) -> None:
    async def main() -> None:
        service = Service()
        limits = GrpcLimits(message_bytes=1000)
        async with (
            serving(service, limits=limits) as server,
            channel_to(server) as channel,
        ):
            chat = stream_stream(channel, CHAT)()
            await chat.write(bytes(1000))
            assert await chat.read() == bytes(1000)
            await chat.write(bytes(1001))
            assert await chat.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert await chat.details() == (
                "grpc: received message larger than max (1001 vs. 1000)"
            )
            assert await service.ended.get() == "cancelled"

    run(loop, main)


@all_loops
def test_a_handler_may_end_the_call_while_the_client_still_writes(loop: str) -> None:
    async def odd(call: StreamCall) -> None:
        await call.send(b"enough")
        raise RpcError(Code.ABORTED, "I have heard enough")

    async def main() -> None:
        service = Service()
        service.methods[ODD] = StreamMethod(same, same, odd)
        async with serving(service) as server, channel_to(server) as channel:
            chat = stream_stream(channel, ODD)()
            assert await chat.read() == b"enough"
            assert await chat.code() is grpc.StatusCode.ABORTED
            assert await chat.details() == "I have heard enough"
            await is_well(server)

    run(loop, main)


@all_loops
def test_messages_of_several_tasks_never_mix(loop: str) -> None:
    size = 200_000

    async def odd(call: StreamCall) -> None:
        await asyncio.gather(*(call.send(b"%d" % digit * size) for digit in range(10)))

    async def main() -> None:
        service = Service()
        service.methods[ODD] = StreamMethod(same, same, odd)
        async with serving(service) as server, channel_to(server) as channel:
            got = [message async for message in unary_stream(channel, ODD)(b"")]
            assert sorted(got) == [b"%d" % digit * size for digit in range(10)]

    run(loop, main)


@all_loops
def test_after_its_end_a_call_takes_and_gives_nothing(loop: str) -> None:
    kept: list[StreamCall] = []

    async def odd(call: StreamCall) -> None:
        kept.append(call)

    async def main() -> None:
        service = Service()
        service.methods[ODD] = StreamMethod(same, same, odd)
        async with serving(service) as server, channel_to(server) as channel:
            assert [message async for message in unary_stream(channel, ODD)(b"")] == []
            for late in (kept[0].send(b"late"), kept[0].receive()):
                with pytest.raises(RpcError, match="the call has ended"):
                    await late

    run(loop, main)


@all_loops
def test_only_one_task_may_wait_for_requests(loop: str) -> None:
    async def odd(call: StreamCall) -> None:
        first = asyncio.create_task(call.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await call.receive()
        await call.send(b"said so")
        assert await first == b"first"

    async def main() -> None:
        service = Service()
        service.methods[ODD] = StreamMethod(same, same, odd)
        async with serving(service) as server, channel_to(server) as channel:
            chat = stream_stream(channel, ODD)()
            assert await chat.read() == b"said so"
            await chat.write(b"first")
            assert await chat.code() is grpc.StatusCode.OK

    run(loop, main)


@all_loops
def test_an_unreadable_request_ends_the_call_by_the_clients_fault(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, channel_to(server) as channel:
            chat = stream_stream(channel, CHAT)()
            await chat.write(b"unreadable")
            assert await chat.code() is grpc.StatusCode.INTERNAL
            assert await chat.details() == "grpc: error unmarshalling request"

    run(loop, main)

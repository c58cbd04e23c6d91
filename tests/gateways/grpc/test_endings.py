"""Deadlines, cancellations, lost connections, and the server's own end."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest

from quorate.gateways.grpc import frames
from quorate.gateways.grpc.limits import GrpcLimits
from quorate.gateways.grpc.methods import Call, StreamCall, StreamMethod, UnaryMethod
from quorate.gateways.grpc.server import GrpcServer

from .places import (
    CHAT,
    COUNT,
    LOOPS,
    PATIENCE,
    UNARY,
    WAIT,
    Service,
    channel_to,
    is_well,
    message,
    run,
    same,
    serving,
    stream_stream,
    unary_unary,
    wire_to,
)

all_loops = pytest.mark.parametrize("loop", LOOPS)
ODD = "/test.Service/Odd"
TAIL = frames.END_STREAM | frames.END_HEADERS


@all_loops
@pytest.mark.parametrize("path", [WAIT, CHAT])
def test_at_its_deadline_a_call_ends_and_its_handler_is_cancelled(loop: str, path: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, wire_to(server) as wire:
            # The usual client would end the call by itself at the same moment.
            block = wire.request(path, grpc_timeout="50m")
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 1, block)
            ends = frames.END_STREAM if path == WAIT else 0
            wire.send_frame(frames.DATA, ends, 1, message(b"x"))
            fields = await wire.read_fields(1)
            if path == CHAT:
                fields = await wire.read_fields(1)
            assert fields["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
            assert fields["grpc-message"] == "context deadline exceeded"
            assert await service.ended.get() == "cancelled"

    run(loop, main)


@all_loops
@pytest.mark.parametrize("timeout", ["5", "S", "123456789S", "1x", "-1S", "1.5S", ""])
def test_a_timeout_that_is_none_is_refused(loop: str, timeout: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            wire.send_frame(frames.HEADERS, TAIL, 1, wire.request(grpc_timeout=timeout))
            fields = await wire.read_fields(1)
            assert fields["grpc-status"] == str(grpc.StatusCode.INTERNAL.value[0])
            assert "malformed grpc-timeout" in fields["grpc-message"]

    run(loop, main)


@all_loops
def test_every_unit_of_a_timeout_is_understood(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            for number, timeout in enumerate(("99999999H", "9M", "9S", "9000m", "9000000u")):
                stream = 2 * number + 1
                block = wire.request(grpc_timeout=timeout)
                wire.send_frame(frames.HEADERS, frames.END_HEADERS, stream, block)
                wire.send_frame(frames.DATA, frames.END_STREAM, stream, message(b"x"))
                assert "grpc-status" not in await wire.read_fields(stream)
                assert (await wire.read_fields(stream))["grpc-status"] == "0"
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 99, wire.request(grpc_timeout="1n"))
            assert (await wire.read_fields(99))["grpc-status"] == "4"

    run(loop, main)


@all_loops
def test_the_usual_client_sees_its_deadline(loop: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, channel_to(server) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary_unary(channel, WAIT)(b"", timeout=0.05)
            assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert await service.ended.get() == "cancelled"
            assert await unary_unary(channel, UNARY)(b"on", timeout=PATIENCE) == b"on"

    run(loop, main)


@all_loops
def test_a_call_that_the_client_cancels_is_cancelled(loop: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, channel_to(server) as channel:
            waiting = unary_unary(channel, WAIT)(b"")
            await service.started.get()
            waiting.cancel()
            assert await service.ended.get() == "cancelled"
            chat = stream_stream(channel, CHAT)()
            await chat.write(b"hello")
            await chat.read()
            chat.cancel()
            assert await service.ended.get() == "cancelled"
            assert await unary_unary(channel, UNARY)(b"on") == b"on"

    run(loop, main)


@all_loops
def test_a_lost_connection_cancels_all_of_its_calls_and_no_other(loop: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, channel_to(server) as other:
            kept = unary_unary(other, WAIT)(b"kept")
            await service.started.get()
            async with wire_to(server) as wire:
                for stream in range(1, 101, 2):
                    block = wire.request(WAIT)
                    wire.send_frame(frames.HEADERS, frames.END_HEADERS, stream, block)
                    wire.send_frame(frames.DATA, frames.END_STREAM, stream, message(b"lost"))
                for _ in range(50):
                    await service.started.get()
            for _ in range(50):
                assert await service.ended.get() == "cancelled"
            service.go_on.set()
            assert await kept == b"kept"

    run(loop, main)


@all_loops
def test_a_handler_that_was_cancelled_by_its_own_server_says_so(loop: str) -> None:
    async def odd(_: bytes, __: Call) -> bytes:
        raise asyncio.CancelledError

    async def main() -> None:
        service = Service()
        service.methods[ODD] = UnaryMethod(same, same, odd)
        async with serving(service) as server, channel_to(server) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary_unary(channel, ODD)(b"")
            assert raised.value.code() is grpc.StatusCode.CANCELLED

    run(loop, main)


@all_loops
def test_a_handler_that_is_slow_to_end_is_counted_until_it_has(loop: str) -> None:
    let_go = asyncio.Event()

    async def odd(call: StreamCall) -> None:
        try:
            await call.receive()
        finally:
            await let_go.wait()

    async def main() -> None:
        service = Service()
        service.methods[ODD] = StreamMethod(same, same, odd)
        async with (
            serving(service, limits=GrpcLimits(streams=5)) as server,
            wire_to(server) as wire,
        ):
            for stream in range(1, 11, 2):
                wire.send_frame(frames.HEADERS, frames.END_HEADERS, stream, wire.request(ODD))
            wire.send_frame(frames.PING, 0, 0, b"12345678")
            await wire.read_until(frames.PING)
            for stream in range(1, 11, 2):
                wire.send_frame(frames.RST_STREAM, 0, stream, b"\0\0\0\x08")
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 11, wire.request(UNARY))
            refused = await wire.read_until(frames.RST_STREAM, 11)
            assert refused.payload == b"\0\0\0\x07"
            let_go.set()
            stream = 13
            while True:
                block = wire.request(UNARY)
                wire.send_frame(frames.HEADERS, frames.END_HEADERS, stream, block)
                wire.send_frame(frames.DATA, frames.END_STREAM, stream, message(b"x"))
                answer = await wire.read_frame()
                assert answer is not None
                if answer.kind == frames.HEADERS:
                    break
                stream += 2

    run(loop, main)


@all_loops
def test_a_server_that_closes_lets_calls_end(loop: str) -> None:
    async def main() -> None:
        service = Service()
        server = GrpcServer(service.methods)
        await server.start("127.0.0.1", 0)
        async with channel_to(server) as channel:
            waiting = unary_unary(channel, WAIT)(b"the last")
            await service.started.get()
            closing = asyncio.create_task(server.close())
            await asyncio.sleep(0)
            service.go_on.set()
            assert await waiting == b"the last"
            await closing
        assert server.connections == 0

    run(loop, main)


@all_loops
def test_calls_that_do_not_end_in_time_are_cut(loop: str) -> None:
    async def main() -> None:
        service = Service()
        server = GrpcServer(service.methods, limits=GrpcLimits(grace_seconds=0.05))
        await server.start("127.0.0.1", 0)
        async with channel_to(server) as channel:
            waiting = unary_unary(channel, WAIT)(b"")
            chat = stream_stream(channel, CHAT)()
            await service.started.get()
            await service.started.get()
            await server.close()
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await waiting
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            assert await chat.code() is grpc.StatusCode.UNAVAILABLE
        assert [await service.ended.get() for _ in range(2)] == ["cancelled"] * 2

    run(loop, main)


@all_loops
def test_a_client_is_told_before_the_connection_closes(loop: str) -> None:
    async def main() -> None:
        service = Service()
        server = GrpcServer(service.methods)
        await server.start("127.0.0.1", 0)
        async with wire_to(server) as wire:
            await wire.read_until(frames.SETTINGS)
            closing = asyncio.create_task(server.close())
            first = await wire.read_until(frames.GOAWAY)
            assert first.payload[:8] == b"\x7f\xff\xff\xff" + bytes(4)
            # A call that crossed with it is taken.
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 1, wire.request())
            wire.send_frame(frames.DATA, frames.END_STREAM, 1, message(b"crossed"))
            ping = await wire.read_until(frames.PING)
            wire.send_frame(frames.PING, frames.ACK, 0, ping.payload)
            assert "grpc-status" not in await wire.read_fields(1)
            assert (await wire.read_fields(1))["grpc-status"] == "0"
            code, text = await wire.read_goaway()
            assert (code, text) == (0, "the server is shutting down")
            wire.writer.close()
            await closing

    run(loop, main)


@all_loops
def test_a_connection_that_says_nothing_does_not_delay_the_end(loop: str) -> None:
    async def main() -> None:
        server = GrpcServer(Service().methods, limits=GrpcLimits(grace_seconds=PATIENCE))
        await server.start("127.0.0.1", 0)
        async with wire_to(server, greet=b"PRI") as wire, wire_to(server) as well:
            await well.read_until(frames.SETTINGS)
            closing = asyncio.create_task(server.close())
            await wire.read_end()
            ping = await well.read_until(frames.PING)
            well.send_frame(frames.PING, frames.ACK, 0, ping.payload)
            await well.read_goaway()
            well.writer.close()
            await closing

    run(loop, main)


@all_loops
def test_a_server_can_be_started_again(loop: str) -> None:
    async def main() -> None:
        server = GrpcServer(Service().methods)
        for _ in range(2):
            await server.start("127.0.0.1", 0)
            with pytest.raises(RuntimeError, match="listens already"):
                await server.start("127.0.0.1", 0)
            await is_well(server)
            await server.close()
            with pytest.raises(RuntimeError, match="no port"):
                _ = server.port
        await server.close()

    run(loop, main)


@all_loops
def test_a_slow_reader_holds_a_handler_up_and_its_end_lets_it_go(loop: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, wire_to(server) as wire:
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 1, wire.request(COUNT))
            wire.send_frame(frames.DATA, frames.END_STREAM, 1, message(b"100000 10000"))
            got = 0
            while got < 65_535:
                frame = await wire.read_until(frames.DATA)
                got += len(frame.payload)
            # The window is used up: there is one message that has left in part, and no more.
            for _ in range(10):
                wire.send_frame(frames.PING, 0, 0, b"12345678")
                await wire.read_until(frames.PING)
            assert service.sent == 65_535 // 10_005
            wire.send_frame(frames.WINDOW_UPDATE, 0, 1, (20_000).to_bytes(4, "big"))
            wire.send_frame(frames.WINDOW_UPDATE, 0, 0, (20_000).to_bytes(4, "big"))
            while got < 85_535:
                got += len((await wire.read_until(frames.DATA)).payload)
            assert service.sent == 85_535 // 10_005
            wire.send_frame(frames.RST_STREAM, 0, 1, b"\0\0\0\x08")
            assert await service.ended.get() == "cancelled"

    run(loop, main)


@all_loops
def test_a_deadline_in_the_middle_of_a_message_resets_the_stream(loop: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, wire_to(server) as wire:
            wire.send_frame(
                frames.HEADERS,
                frames.END_HEADERS,
                1,
                wire.request(COUNT, grpc_timeout="50m"),
            )
            wire.send_frame(frames.DATA, frames.END_STREAM, 1, message(b"10 100000"))
            reset = await wire.read_until(frames.RST_STREAM, 1)
            assert reset.payload == b"\0\0\0\x08"
            assert await service.ended.get() == "cancelled"
            # Nothing of what waited is counted any more.
            wire.send_frame(frames.WINDOW_UPDATE, 0, 0, (1_000_000).to_bytes(4, "big"))
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 3, wire.request())
            wire.send_frame(frames.DATA, frames.END_STREAM, 3, message(b"on"))
            assert (await wire.read_until(frames.DATA)).payload == message(b"on")

    run(loop, main)


@all_loops
def test_an_answer_that_waits_for_a_window_ends_with_its_stream(loop: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, wire_to(server) as wire:
            for stream in (1, 3, 5):
                wire.send_frame(frames.HEADERS, frames.END_HEADERS, stream, wire.request())
                body = message(bytes(100_000))
                wire.send_frame(frames.DATA, 0, stream, body[:16_384])
                for begin in range(16_384, len(body), 16_384):
                    wire.send_frame(frames.DATA, 0, stream, body[begin : begin + 16_384])
                wire.send_frame(frames.DATA, frames.END_STREAM, stream)
            await wire.read_until(frames.DATA)
            for stream in (1, 3):
                wire.send_frame(frames.RST_STREAM, 0, stream, b"\0\0\0\x08")
            wire.send_frame(frames.WINDOW_UPDATE, 0, 0, (1_000_000).to_bytes(4, "big"))
            wire.send_frame(frames.WINDOW_UPDATE, 0, 5, (1_000_000).to_bytes(4, "big"))
            while (await wire.read_fields(5)).get("grpc-status") != "0":
                pass

    run(loop, main)


@all_loops
def test_a_request_may_end_with_fields_of_its_own(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 1, wire.request())
            wire.send_frame(frames.DATA, 0, 1, message(b"x"))
            trailer = wire.encoder.encode([("checksum", "1")])
            wire.send_frame(frames.HEADERS, TAIL, 1, trailer)
            await wire.read_fields(1)
            assert (await wire.read_fields(1))["grpc-status"] == "0"
            # Some that cross with the end of the answer are read, and mean nothing.
            wire.send_frame(frames.HEADERS, TAIL, 1, wire.encoder.encode([("late", "2")]))
            wire.send_frame(frames.DATA, 0, 1, b"late")
            wire.send_frame(frames.RST_STREAM, 0, 1, bytes(4))
            wire.send_frame(frames.WINDOW_UPDATE, 0, 1, b"\0\0\0\x01")
            wire.send_frame(frames.HEADERS, frames.END_HEADERS, 3, wire.request(late="2"))
            wire.send_frame(frames.DATA, frames.END_STREAM, 3, message(b"on"))
            await wire.read_fields(3)
            assert (await wire.read_fields(3))["grpc-status"] == "0"

    run(loop, main)


@all_loops
def test_a_port_that_is_taken_is_an_error_after_which_another_can_be_tried(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as first:
            second = GrpcServer(Service().methods)
            with pytest.raises(OSError, match="in use"):
                await second.start("127.0.0.1", first.port)
            await second.start("127.0.0.1", 0)
            await is_well(second)
            await second.close()

    run(loop, main)


@all_loops
def test_a_client_that_leaves_at_once_leaves_nothing_behind(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server:
            for greet in (b"", frames.PREFACE, frames.PREFACE + frames.frame(99, 0, 0)):
                for _ in range(20):
                    async with wire_to(server, greet=greet) as wire:
                        if greet:
                            wire.writer.transport.abort()
            await is_well(server)

    run(loop, main)

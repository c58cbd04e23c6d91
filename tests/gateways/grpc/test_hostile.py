"""Clients that break the protocol, flood, or do not read: their connection ends, no other."""

from __future__ import annotations

import gc
import logging
import resource
import zlib
from collections.abc import Iterator

import pytest

from quorate.gateways.grpc import frames
from quorate.gateways.grpc.frames import ErrorCode, frame
from quorate.gateways.grpc.limits import GrpcLimits

from .places import (
    CHAT,
    COUNT,
    IGNORE,
    LOOPS,
    UNARY,
    WAIT,
    Service,
    is_well,
    message,
    run,
    serving,
    wire_to,
)

all_loops = pytest.mark.parametrize("loop", LOOPS)
HEAD = frames.END_HEADERS
LAST = frames.END_STREAM
ONE = (1).to_bytes(4, "big")
ENTRY = b"\x83\x86\x84\x41\x01x"


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What a client does wrong is its own business."""
    caplog.set_level(logging.INFO)
    yield
    assert caplog.text == ""


def setting(number: int, value: int) -> bytes:
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


BROKEN = {
    "a frame that is too large": (b"\x00\x40\x01" + bytes(6), ErrorCode.FRAME_SIZE_ERROR),
    "data of no stream": (frame(frames.DATA, 0, 0), ErrorCode.PROTOCOL_ERROR),
    "data of a stream that never was": (frame(frames.DATA, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "headers of no stream": (frame(frames.HEADERS, HEAD, 0, b"\x83"), ErrorCode.PROTOCOL_ERROR),
    "headers of an even stream": (
        frame(frames.HEADERS, HEAD, 2, b"\x83"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers with a place that is not in the table": (
        frame(frames.HEADERS, HEAD, 1, b"\xfe"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "headers that end in the middle": (
        frame(frames.HEADERS, HEAD, 1, b"\x40\x05ab"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "padding over the end": (
        frame(frames.HEADERS, HEAD | frames.PADDED, 1, b"\x05\x83"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "padding without a length": (
        frame(frames.HEADERS, HEAD | frames.PADDED, 1),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a continuation of nothing": (
        frame(frames.CONTINUATION, HEAD, 1, b"\x83"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "something else where a continuation must follow": (
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a continuation of another stream": (
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.CONTINUATION, HEAD, 3, b"\x83"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a push": (frame(frames.PUSH_PROMISE, HEAD, 1, ONE), ErrorCode.PROTOCOL_ERROR),
    "a ping of a wrong size": (frame(frames.PING, 0, 0, b"x"), ErrorCode.FRAME_SIZE_ERROR),
    "a ping of a stream": (frame(frames.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "settings of a stream": (frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "settings of a wrong size": (frame(frames.SETTINGS, 0, 0, b"x"), ErrorCode.FRAME_SIZE_ERROR),
    "an acknowledgement that says more": (
        frame(frames.SETTINGS, frames.ACK, 0, setting(1, 1)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a window that is too large": (
        frame(frames.SETTINGS, 0, 0, setting(frames.INITIAL_WINDOW_SIZE, 1 << 31)),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "frames that are too small": (
        frame(frames.SETTINGS, 0, 0, setting(frames.MAX_FRAME_SIZE, 16_383)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a push setting that is none": (
        frame(frames.SETTINGS, 0, 0, setting(frames.ENABLE_PUSH, 2)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a window that grows by nothing": (
        frame(frames.WINDOW_UPDATE, 0, 0, bytes(4)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a window that grows too large": (
        frame(frames.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "a window update of a wrong size": (
        frame(frames.WINDOW_UPDATE, 0, 0, b"x"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a window of a stream that never was": (
        frame(frames.WINDOW_UPDATE, 0, 1, ONE),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a reset of a stream that never was": (
        frame(frames.RST_STREAM, 0, 1, bytes(4)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a reset of a wrong size": (frame(frames.RST_STREAM, 0, 1, b"x"), ErrorCode.FRAME_SIZE_ERROR),
}


@all_loops
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_frame_ends_the_connection_and_says_why(loop: str, what: str) -> None:
    data, expected = BROKEN[what]

    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            wire.send(data)
            code, text = await wire.read_goaway()
            assert code == expected
            assert text
            await is_well(server)

    run(loop, main)


@all_loops
@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (frame(frames.DATA, 0, 1, b"more"), ErrorCode.STREAM_CLOSED),
        (frame(frames.HEADERS, HEAD | LAST, 1, b"\x83"), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"), ErrorCode.FLOW_CONTROL_ERROR),
        (
            frame(frames.WINDOW_UPDATE, 0, 1, b"\x7f\xff\0\0")
            + frame(frames.SETTINGS, 0, 0, setting(frames.INITIAL_WINDOW_SIZE, 200_000)),
            ErrorCode.FLOW_CONTROL_ERROR,
        ),
        (frame(frames.WINDOW_UPDATE, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.HEADERS, HEAD | LAST, 3, b"\xbe" * 16_000), ErrorCode.ENHANCE_YOUR_CALM),
    ],
)
def test_a_request_that_has_ended_does_not_go_on(
    loop: str, then: bytes, expected: ErrorCode
) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server, wire_to(server) as wire:
            wire.send_frame(frames.HEADERS, HEAD, 1, wire.request(WAIT))
            wire.send_frame(frames.DATA, LAST, 1, message(b"x"))
            wire.send(then)
            code, _ = await wire.read_goaway()
            assert code == expected
            # The handler may not even have begun.
            assert service.ended.empty() or await service.ended.get() == "cancelled"

    run(loop, main)


@all_loops
def test_the_first_frame_must_be_settings(loop: str) -> None:
    async def main() -> None:
        greet = frames.PREFACE + frame(frames.PING, 0, 0, bytes(8))
        async with serving(Service()) as server, wire_to(server, greet=greet) as wire:
            code, _ = await wire.read_goaway()
            assert code == ErrorCode.PROTOCOL_ERROR

    run(loop, main)


@all_loops
@pytest.mark.parametrize("greet", [b"", frames.PREFACE[:10], b"GET /health HTTP/1.1\r\nHost:"])
def test_who_does_not_say_what_it_wants_is_cut(loop: str, greet: bytes) -> None:
    async def main() -> None:
        limits = GrpcLimits(handshake_seconds=0.05)
        async with (
            serving(Service(), limits=limits) as server,
            wire_to(server, greet=greet) as wire,
        ):
            await wire.read_end()

    run(loop, main)


@all_loops
def test_who_sends_no_settings_is_told(loop: str) -> None:
    async def main() -> None:
        limits = GrpcLimits(handshake_seconds=0.05)
        async with (
            serving(Service(), limits=limits) as server,
            wire_to(server, greet=frames.PREFACE) as wire,
        ):
            code, _ = await wire.read_goaway()
            assert code == ErrorCode.SETTINGS_TIMEOUT

    run(loop, main)


@all_loops
def test_a_connection_over_the_bound_is_cut_and_the_others_stay(loop: str) -> None:
    async def main() -> None:
        async with (
            serving(Service(), limits=GrpcLimits(connections=3)) as server,
            wire_to(server) as first,
            wire_to(server) as second,
            wire_to(server, greet=b"P") as third,
        ):
            await first.read_until(frames.SETTINGS)
            await second.read_until(frames.SETTINGS)
            async with wire_to(server) as fourth:
                await fourth.read_end()
            third.writer.close()
            first.send_frame(frames.PING, 0, 0, bytes(8))
            await first.read_until(frames.PING)
            # The usual client tries again until there is room.
            await is_well(server)

    run(loop, main)


FLOODS = {
    "pings": frame(frames.PING, 0, 0, bytes(8)),
    "settings": frame(frames.SETTINGS, 0, 0),
    "priorities": frame(frames.PRIORITY, 0, 1, bytes(5)),
    "frames of no known type": frame(99, 0, 0, b"x"),
    "good-byes": frame(frames.GOAWAY, 0, 0, bytes(8)),
}


@all_loops
@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_ends_the_connection(loop: str, what: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            wire.send(FLOODS[what] * 20_000)
            code, _ = await wire.read_goaway()
            assert code == ErrorCode.ENHANCE_YOUR_CALM
            await is_well(server)

    run(loop, main)


@all_loops
@pytest.mark.parametrize("path", [UNARY, CHAT])
def test_rapid_resets_end_the_connection(loop: str, path: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            for stream in range(1, 40_001, 2):
                wire.send_frame(frames.HEADERS, HEAD, stream, wire.request(path))
                wire.send_frame(frames.RST_STREAM, 0, stream, b"\0\0\0\x08")
            code, _ = await wire.read_goaway()
            assert code == ErrorCode.ENHANCE_YOUR_CALM
            await is_well(server)

    run(loop, main)


@all_loops
def test_empty_frames_of_data_and_of_headers_are_floods_too(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server:
            async with wire_to(server) as wire:
                wire.send_frame(frames.HEADERS, HEAD, 1, wire.request())
                wire.send(frame(frames.DATA, 0, 1) * 20_000)
                code, _ = await wire.read_goaway()
                assert code == ErrorCode.ENHANCE_YOUR_CALM
            async with wire_to(server) as wire:
                wire.send_frame(frames.HEADERS, 0, 1, wire.request())
                wire.send(frame(frames.CONTINUATION, 0, 1) * 20_000)
                code, _ = await wire.read_goaway()
                assert code == ErrorCode.ENHANCE_YOUR_CALM
            async with wire_to(server) as wire:
                wire.send_frame(frames.HEADERS, 0, 1, wire.request())
                wire.send(frame(frames.CONTINUATION, 0, 1, b"\x83" * 1000) * 100)
                code, text = await wire.read_goaway()
                assert (code, text) == (
                    ErrorCode.ENHANCE_YOUR_CALM,
                    "the header block is too large",
                )

    run(loop, main)


@all_loops
def test_a_small_block_that_means_large_headers_is_refused(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            # One field of 4,000 bytes enters the table, and is meant a thousand times.
            length = b"\x7f" + bytes([(3000 - 127) & 127 | 128, (3000 - 127) >> 7])
            block = b"\x40\x01x" + length + b"y" * 3000 + b"\xbe" * 1000
            wire.send_frame(frames.HEADERS, HEAD | LAST, 1, block)
            code, _ = await wire.read_goaway()
            assert code == ErrorCode.ENHANCE_YOUR_CALM
            await is_well(server)

    run(loop, main)


@all_loops
def test_pings_between_calls_are_no_flood(loop: str) -> None:
    async def main() -> None:
        limits = GrpcLimits(idle_frames=20, idle_frames_per_second=1e-9)
        async with serving(Service(), limits=limits) as server, wire_to(server) as wire:
            for stream in range(1, 401, 2):
                wire.send_frame(frames.PING, 0, 0, bytes(8))
                wire.send_frame(frames.HEADERS, HEAD, stream, wire.request())
                wire.send_frame(frames.DATA, LAST, stream, message(b"x"))
                await wire.read_fields(stream)
                assert (await wire.read_fields(stream))["grpc-status"] == "0"

    run(loop, main)


@all_loops
@pytest.mark.parametrize(
    "fields",
    [
        {"Upper": "x"},
        {"connection": "close"},
        {"te": "gzip"},
        {"x": "a\r\nb"},
        {"": "x"},
        {"a b": "x"},
        {":unknown": "x"},
    ],
)
def test_malformed_headers_end_their_stream_alone(loop: str, fields: dict[str, str]) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            wire.send_frame(frames.HEADERS, HEAD | LAST, 1, wire.request(**fields))
            got = await wire.read_until(frames.RST_STREAM, 1)
            assert got.payload == ErrorCode.PROTOCOL_ERROR.to_bytes(4, "big")
            wire.send_frame(frames.HEADERS, HEAD, 3, wire.request())
            wire.send_frame(frames.DATA, LAST, 3, message(b"x"))
            await wire.read_fields(3)
            assert (await wire.read_fields(3))["grpc-status"] == "0"

    run(loop, main)


@all_loops
def test_pseudo_headers_come_once_and_first(loop: str) -> None:
    async def main() -> None:
        fields = [(":method", "POST"), (":scheme", "http"), (":path", UNARY)]
        async with serving(Service()) as server, wire_to(server) as wire:
            bad: tuple[list[tuple[str, str]], ...] = (
                [*fields, (":path", UNARY)],
                [*fields[:2], ("x", "y"), fields[2]],
                fields[:2],
                fields[1:],
                [],
            )
            for number, each in enumerate(bad):
                stream = 2 * number + 1
                wire.send_frame(frames.HEADERS, HEAD | LAST, stream, wire.encoder.encode(each))
                got = await wire.read_until(frames.RST_STREAM, stream)
                assert got.payload == ErrorCode.PROTOCOL_ERROR.to_bytes(4, "big")

    run(loop, main)


@all_loops
@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (b"", 13, "unexpected EOF"),
        (b"\0\0\0", 13, "unexpected EOF"),
        (message(b"whole")[:-1], 13, "unexpected EOF"),
        (message(b"one") + message(b"two"), 13, "more were sent"),
        (message(b"one") + b"\0", 13, "more were sent"),
        (message(b"x", flag=2), 13, "unexpected payload format 2"),
        (message(b"x", flag=1), 13, "compressed flag set with identity"),
        (b"\0\xff\xff\xff\xff", 8, "larger than max (4294967295 vs. 2097152)"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_what_is_no_message_is_refused(
    loop: str, data: bytes, status: int, text: str, pieces: int
) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            wire.send_frame(frames.HEADERS, HEAD, 1, wire.request())
            half = len(data) // 2 if pieces == 2 else 0
            if half:
                wire.send_frame(frames.DATA, 0, 1, data[:half])
            wire.send_frame(frames.DATA, LAST, 1, data[half:])
            fields = await wire.read_fields(1)
            assert fields["grpc-status"] == str(status)
            assert text in fields["grpc-message"]
            await is_well(server)

    run(loop, main)


@all_loops
@pytest.mark.parametrize("path", [UNARY, CHAT])
def test_a_bomb_is_inflated_no_further_than_the_limit(loop: str, path: str) -> None:
    squeeze = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    bomb = squeeze.compress(bytes(100_000_000)) + squeeze.flush()
    assert len(bomb) < 100_000

    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            block = wire.request(path, grpc_encoding="gzip")
            wire.send_frame(frames.HEADERS, HEAD, 1, block)
            data = message(bomb, flag=1)
            for begin in range(0, len(data), 16_384):
                wire.send_frame(frames.DATA, 0, 1, data[begin : begin + 16_384])
            wire.send_frame(frames.DATA, LAST, 1)
            fields = await wire.read_fields(1)
            assert fields["grpc-status"] == "8"
            assert (
                "after decompression larger than max (2097153 vs. 2097152)"
                in (fields["grpc-message"])
            )

    run(loop, main)


@all_loops
@pytest.mark.parametrize("data", [b"", b"no gzip", zlib.compress(b"x"), b"\x1f\x8b\x08"])
def test_what_cannot_be_inflated_is_refused(loop: str, data: bytes) -> None:
    async def main() -> None:
        async with serving(Service()) as server, wire_to(server) as wire:
            block = wire.request(grpc_encoding="gzip")
            wire.send_frame(frames.HEADERS, HEAD, 1, block)
            wire.send_frame(frames.DATA, LAST, 1, message(data, flag=1))
            fields = await wire.read_fields(1)
            assert fields["grpc-status"] == "13"
            assert "failed to decompress" in fields["grpc-message"]

    run(loop, main)


@all_loops
@pytest.mark.parametrize("path", [UNARY, IGNORE])
def test_a_client_that_ignores_our_windows_is_cut(loop: str, path: str) -> None:
    async def main() -> None:
        limits = GrpcLimits(stream_window_bytes=65_535, connection_window_bytes=100_000_000)
        service = Service()
        async with serving(service, limits=limits) as server, wire_to(server) as wire:
            wire.send_frame(frames.HEADERS, HEAD, 1, wire.request(path))
            wire.send(frame(frames.DATA, 0, 1, message(bytes(16_379))) * 6)
            if path == IGNORE:
                code, _ = await wire.read_goaway()
                assert code == ErrorCode.FLOW_CONTROL_ERROR
            else:
                # Here it is the second message that is judged first.
                assert (await wire.read_fields(1))["grpc-status"] == "13"

    run(loop, main)


@all_loops
def test_requests_that_nobody_reads_are_bounded_together(loop: str) -> None:
    async def main() -> None:
        service = Service()
        limits = GrpcLimits(request_bytes=1_000_000)
        async with serving(service, limits=limits) as server, wire_to(server) as wire:
            for stream in range(1, 201, 2):
                wire.send_frame(frames.HEADERS, HEAD, stream, wire.request(IGNORE))
                wire.send(frame(frames.DATA, 0, stream, message(bytes(16_379))))
            for _ in range(100 - 1_000_000 // 16_384):
                assert (await wire.read_fields())["grpc-status"] == "8"
            service.go_on.set()
            await is_well(server)

    run(loop, main)


@all_loops
def test_what_a_request_is_inflated_to_counts(loop: str) -> None:
    squeeze = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    small = squeeze.compress(bytes(1_000_000)) + squeeze.flush()

    async def main() -> None:
        service = Service()
        limits = GrpcLimits(request_bytes=2_500_000)
        async with serving(service, limits=limits) as server, wire_to(server) as wire:
            for stream in (1, 3, 5):
                block = wire.request(WAIT, grpc_encoding="gzip")
                wire.send_frame(frames.HEADERS, HEAD, stream, block)
                wire.send_frame(frames.DATA, LAST, stream, message(small, flag=1))
            assert (await wire.read_fields(5))["grpc-status"] == "8"
            for _ in range(2):
                await service.started.get()

    run(loop, main)


@all_loops
def test_answers_for_which_there_is_no_window_are_bounded(loop: str) -> None:
    async def main() -> None:
        service = Service()
        limits = GrpcLimits(unsent_bytes=1_000_000)
        async with serving(service, limits=limits) as server, wire_to(server) as wire:
            wire.send(frame(frames.SETTINGS, 0, 0, setting(frames.INITIAL_WINDOW_SIZE, 0)))
            for stream in range(1, 401, 2):
                wire.send_frame(frames.HEADERS, HEAD, stream, wire.request())
                wire.send_frame(frames.DATA, LAST, stream, message(bytes(10_000)))
            await wire.read_end()
            await is_well(server)

    run(loop, main)


@all_loops
def test_a_client_that_never_reads_is_not_read_either(loop: str) -> None:
    async def main() -> None:
        service = Service()
        limits = GrpcLimits(high_water_bytes=100_000)
        async with serving(service, limits=limits) as server, wire_to(server) as wire:
            huge = setting(frames.INITIAL_WINDOW_SIZE, (1 << 31) - 1)
            wire.send(frame(frames.SETTINGS, 0, 0, huge))
            wire.send_frame(frames.WINDOW_UPDATE, 0, 0, ((1 << 31) - 70_000).to_bytes(4, "big"))
            await wire.read_until(frames.WINDOW_UPDATE)
            gc.collect()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for stream in range(1, 41, 2):
                wire.send_frame(frames.HEADERS, HEAD, stream, wire.request(COUNT))
                wire.send_frame(frames.DATA, LAST, stream, message(b"1000000 16000"))
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one that reads
            sent = -1
            while sent != service.sent:
                sent = service.sent
                for _ in range(5):
                    await is_well(server)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            # The buffers of the kernel's two sockets are much larger than what waits here.
            assert sent < 2000
            assert after - before < 64 * 1024
            wire.writer.transport.abort()
            assert await service.ended.get() == "cancelled"

    run(loop, main)

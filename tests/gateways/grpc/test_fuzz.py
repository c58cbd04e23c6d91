"""Whatever bytes come, the next good client is served; and how they are cut changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorate.gateways.grpc import frames
from quorate.gateways.grpc.frames import PREFACE, frame
from quorate.gateways.grpc.limits import GrpcLimits
from quorate.gateways.grpc.server import GrpcServer

from .places import (
    CHAT,
    COLLECT,
    COUNT,
    FAIL,
    LOOPS,
    PATIENCE,
    UNARY,
    WAIT,
    Service,
    Wire,
    is_well,
    message,
)

all_loops = pytest.mark.parametrize("loop", LOOPS)
PATHS = (UNARY, FAIL, WAIT, CHAT, COLLECT, COUNT, "/nothing", "")
BODIES = (b"", b"x", b"5:no", b"3 100", b"y" * 300)
Scene = Callable[[GrpcServer], Coroutine[Any, Any, None]]


class Stage:
    """One server for many scenes, on one loop; nothing may reach the loop's handler."""

    def __init__(self, loop: str, limits: GrpcLimits | None = None) -> None:
        self.runner = asyncio.Runner(loop_factory=LOOPS[loop])
        self.complaints: list[dict[str, Any]] = []
        self.server = GrpcServer(Service().methods, limits=limits)

    def __enter__(self) -> Self:
        self.runner.__enter__()
        loop = self.runner.get_loop()
        loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self.runner.run(self.server.start("127.0.0.1", 0))
        return self

    def __exit__(self, *error: object) -> None:
        self.runner.run(self.server.close())
        self.runner.close()
        assert self.complaints == []

    def play(self, scene: Scene) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE):
                await scene(self.server)

        self.runner.run(bounded())


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """What a client says that knows the protocol, if not what it wants."""
    wire = Wire(None, None)  # type: ignore[arg-type]  # only its encoder is used
    said = bytearray(PREFACE + frame(frames.SETTINGS, 0, 0))
    streams = iter(range(1, 1000, 2))
    opened = [1]
    for _ in range(draw(st.integers(0, 8))):
        stream = draw(st.sampled_from(opened))
        kind = draw(st.sampled_from(("call", "call", "data", "reset", "window", "ping", "set")))
        if kind == "call":
            stream = next(streams)
            opened.append(stream)
            block = wire.request(draw(st.sampled_from(PATHS)))
            flags = draw(st.sampled_from((frames.END_HEADERS, frames.END_HEADERS, 5)))
            said += frame(frames.HEADERS, flags, stream, block)
        if kind in {"call", "data"}:
            data = message(draw(st.sampled_from(BODIES)), draw(st.sampled_from((0, 0, 0, 1, 2))))
            said += frame(frames.DATA, draw(st.sampled_from((0, 1, 1))), stream, data)
        elif kind == "reset":
            said += frame(frames.RST_STREAM, 0, stream, bytes(4))
        elif kind == "window":
            said += frame(frames.WINDOW_UPDATE, 0, stream, draw(st.binary(min_size=4, max_size=4)))
        elif kind == "ping":
            said += frame(frames.PING, draw(st.sampled_from((0, 1))), 0, b"goodbye!")
        else:
            setting = draw(st.integers(0, 7)).to_bytes(2, "big")
            said += frame(frames.SETTINGS, 0, 0, setting + draw(st.binary(min_size=4, max_size=4)))
    return bytes(said)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A conversation with some bytes changed, lost, doubled or put in."""
    said = bytearray(draw(conversations()))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(said)))
        how = draw(st.sampled_from(("change", "lose", "double", "put in")))
        if how == "change":
            said[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
        elif how == "lose":
            del said[place : place + draw(st.integers(1, 20))]
        elif how == "double":
            said[place:place] = said[place : place + draw(st.integers(1, 40))]
        else:
            said[place:place] = draw(st.binary(max_size=20))
    return bytes(said)


async def say(server: GrpcServer, said: bytes, cuts: list[int]) -> list[tuple[int, int, bytes]]:
    """Say all of it in pieces, then listen to the end; returns the frames that came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    wire = Wire(reader, writer)
    got = []
    try:
        begin = 0
        for end in [*sorted(cut % (len(said) + 1) for cut in cuts), len(said)]:
            writer.write(said[begin:end])
            await asyncio.sleep(0)
            begin = end
        writer.write_eof()
        while (one := await wire.read_frame()) is not None:
            got.append((one.kind, one.stream, one.payload))
    except (OSError, RuntimeError):
        pass  # the server has closed, which the two loops say in different words
    finally:
        writer.close()
    return got


@all_loops
def test_whatever_bytes_come_the_next_client_is_served(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Stage(loop) as stage:

        @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
        @given(mutations() | st.binary(max_size=100), st.lists(st.integers(0, 2000), max_size=4))
        def check(said: bytes, cuts: list[int]) -> None:
            async def scene(server: GrpcServer) -> None:
                await say(server, said, cuts)
                good = Wire(*await asyncio.open_connection("127.0.0.1", server.port))
                good.send(PREFACE + frame(frames.SETTINGS, 0, 0))
                good.send_frame(frames.HEADERS, frames.END_HEADERS, 1, good.request())
                good.send_frame(frames.DATA, frames.END_STREAM, 1, message(b"well?"))
                assert (await good.read_until(frames.DATA)).payload == message(b"well?")
                good.writer.close()

            stage.play(scene)

        check()
        stage.play(is_well)
    assert caplog.text == ""


@all_loops
def test_how_the_bytes_are_cut_changes_no_answer(loop: str) -> None:
    wire = Wire(None, None)  # type: ignore[arg-type]  # only its encoder is used
    said = bytearray(PREFACE + frame(frames.SETTINGS, 0, 0))
    bodies = {}
    for stream in range(1, 40, 2):
        block = wire.request()
        body = bodies[stream] = message(b"%d" % stream * stream)
        half = len(block) // 2
        said += frame(frames.HEADERS, 0, stream, block[:half])
        said += frame(frames.CONTINUATION, frames.END_HEADERS, stream, block[half:])
        said += frame(frames.DATA, frames.PADDED, stream, b"\x03" + body[:3] + bytes(3))
        said += frame(frames.DATA, frames.END_STREAM, stream, body[3:])

    with Stage(loop) as stage:

        @settings(max_examples=50, deadline=None)
        @given(st.lists(st.integers(0, len(said)), max_size=50))
        def check(cuts: list[int]) -> None:
            async def scene(server: GrpcServer) -> None:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                answers = Wire(reader, writer)
                begin = 0
                for end in [*sorted(cuts), len(said)]:
                    writer.write(said[begin:end])
                    await asyncio.sleep(0)
                    begin = end
                got: dict[int, bytes] = {}
                while len(got) < len(bodies):
                    one = await answers.read_until(frames.DATA)
                    got[one.stream] = one.payload
                assert got == bodies
                writer.close()

            stage.play(scene)

        check()

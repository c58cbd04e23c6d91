"""Listener and Dialer over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from quorate.errors import (
    ConfigurationError,
    ConnectionLost,
    HandshakeRefused,
    LimitExceeded,
    Unavailable,
)
from quorate.runtime.transport.connection import Connection, ConnectionLimits
from quorate.runtime.transport.frames import encode_frame
from quorate.runtime.transport.hello import MAGIC, Hello, Role, encode_hello

from .places import LOOPS, Caller, Desk, hang_up, hello, listening, run

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def test_frames_go_both_ways(loop: str) -> None:
    async def main() -> None:
        desk, caller = Desk(), Caller()
        async with listening(desk) as listener:
            connection, welcome = await caller.dial(listener.port)
            assert (welcome.node_id, welcome.commit_index) == (1, 7)
            assert connection.is_open
            assert connection.peer_names == ()
            sent = [bytes([number]) * (number * 999 + 1) for number in range(200)]
            for payload in sent:
                connection.send(payload)
            assert [await caller.frames.get() for _ in sent] == sent
            assert connection.peer_address == f"127.0.0.1:{listener.port}"
            await hang_up(connection)
            _, error = await desk.lost.get()
            assert isinstance(error, ConnectionLost)
            assert listener.connections == 0

    run(loop, main)


def test_one_turn_is_one_delivery(loop: str) -> None:
    async def main() -> None:
        desk, caller = Desk(), Caller()
        async with listening(desk) as listener:
            connection, _ = await caller.dial(listener.port, hello(Role.PEER, node_id=2))
            for number in range(100):
                connection.send(b"%d" % number)
            node_id, frames = await desk.peer.get()
            assert node_id == 2
            assert frames == [b"%d" % number for number in range(100)]
            await hang_up(connection)

    run(loop, main)


def test_small_frames_leave_at_once(loop: str) -> None:
    async def main() -> None:
        desk, caller = Desk(), Caller()
        async with listening(desk) as listener:
            connection, _ = await caller.dial(listener.port)
            accepted, _ = await desk.opened.get()
            for one in (connection, accepted):
                assert one._transport is not None
                descriptor = one._transport.get_extra_info("socket").fileno()
                with socket.socket(fileno=socket.dup(descriptor)) as own:
                    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
            await hang_up(connection)

    run(loop, main)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (hello(cluster_id=5), "belongs to cluster"),
        (hello(version=2), "protocol version 2"),
        (hello(Role.PEER, node_id=9), "node 9 is not a member"),
    ],
)
def test_refused(loop: str, said: Hello, reason: str) -> None:
    async def main() -> None:
        caller = Caller()
        async with listening(Desk()) as listener:
            with pytest.raises(HandshakeRefused, match=reason) as raised:
                await caller.dial(listener.port, said)
            assert f"127.0.0.1:{listener.port}" in str(raised.value)
            assert listener.connections == 0
        assert caller.lost.empty()

    run(loop, main)


def test_too_many_connections(loop: str) -> None:
    async def main() -> None:
        async with listening(Desk(), maximum_connections=1) as listener:
            first, _ = await Caller().dial(listener.port)
            with pytest.raises(Unavailable, match="use another node"):
                await Caller().dial(listener.port)
            peer, _ = await Caller().dial(listener.port, hello(Role.PEER, node_id=2))
            await hang_up(peer)
            await hang_up(first)

    run(loop, main)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"Q!",
        MAGIC + bytes(4),
        MAGIC + b"\xff\xff\xff\xff",
        MAGIC + encode_frame(b"\xc1garbage"),
        MAGIC + encode_frame(encode_hello(hello()))[:-1],  # and then silence
        b"",
    ],
)
def test_strangers_are_hung_up_on(loop: str, said: bytes) -> None:
    async def main() -> None:
        desk = Desk()
        async with listening(desk, limits=ConnectionLimits(handshake_seconds=0.1)) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(said)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            with contextlib.suppress(ConnectionResetError):
                await writer.wait_closed()
        assert desk.opened.empty()

    run(loop, main)


def test_a_hello_byte_by_byte(loop: str) -> None:
    async def main() -> None:
        async with listening(Desk()) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            said = MAGIC + encode_frame(encode_hello(hello())) + encode_frame(b"at once")
            for at in range(len(said)):
                writer.write(said[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0)
            welcome_size = int.from_bytes(await reader.readexactly(4), "big")
            await reader.readexactly(welcome_size)
            assert await reader.readexactly(11) == encode_frame(b"at once")
            writer.close()
            await writer.wait_closed()

    run(loop, main)


def test_an_oversized_frame_ends_the_connection(loop: str) -> None:
    async def main() -> None:
        desk, caller = Desk(), Caller(limits=ConnectionLimits(frame_bytes=2000))
        async with listening(desk, limits=ConnectionLimits(frame_bytes=1000)) as listener:
            connection, _ = await caller.dial(listener.port)
            with pytest.raises(LimitExceeded):
                connection.send(bytes(2001))
            with pytest.raises(LimitExceeded):
                connection.send(b"")
            connection.send(bytes(1001))
            await connection.wait_lost()
            _, error = await desk.lost.get()
            assert "over the limit of 1000" in str(error)
            connection.send(b"too late, and harmless")

    run(loop, main)


@pytest.mark.parametrize("answer", [None, b"", b"220 smtp ready\r\n", encode_frame(b"\x00")])
def test_dialling_something_else(loop: str, answer: bytes | None) -> None:
    async def main() -> None:
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(len(MAGIC))
            if answer:
                writer.write(answer)
            if answer != b"":
                await reader.read()
            writer.close()
            with contextlib.suppress(ConnectionResetError):
                await writer.wait_closed()
            done.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        expected = {None: Unavailable, b"": ConnectionLost}.get(answer, HandshakeRefused)
        with pytest.raises(expected, match=f"127.0.0.1:{port}"):
            await Caller(limits=ConnectionLimits(handshake_seconds=0.2)).dial(port)
        await done.wait()
        server.close()
        await server.wait_closed()

    run(loop, main)


def test_dialling_nobody(loop: str) -> None:
    async def main() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            with pytest.raises(Unavailable, match=f"127.0.0.1:{port} cannot be reached"):
                await Caller().dial(port)
        dial = Caller().dialer.dial
        with pytest.raises(ConfigurationError):
            await dial("nowhere", hello(), on_frames=lambda *_: None, on_lost=lambda *_: None)
        with pytest.raises(Unavailable):
            await dial("a..b:1", hello(), on_frames=lambda *_: None, on_lost=lambda *_: None)

    run(loop, main)


def test_back_pressure(loop: str) -> None:
    async def main() -> None:
        desk = Desk()
        caller = Caller(limits=ConnectionLimits(high_water_bytes=100_000))
        async with listening(desk) as listener:
            connection, _ = await caller.dial(listener.port)
            accepted, _ = await desk.opened.get()
            received = bytearray()
            complete = asyncio.Event()
            sent = 0

            def keep(_: Connection, frames: list[bytes]) -> None:
                received.extend(b"".join(frames))
                if len(received) == sent:
                    complete.set()

            accepted.on_frames = keep
            accepted.pause_reading()
            accepted.pause_reading()
            writable = asyncio.Event()
            connection.on_writable = lambda _: writable.set()
            while connection.writable:
                connection.send(bytes(50_000))
                sent += 50_000
                await asyncio.sleep(0)
            assert connection.queued > 100_000
            assert not connection.overflowing
            assert not writable.is_set()
            accepted.resume_reading()
            accepted.resume_reading()
            await writable.wait()
            await complete.wait()
            await hang_up(connection)

    run(loop, main)


def test_overflow_ends_the_connection(loop: str) -> None:
    async def main() -> None:
        desk = Desk()
        limits = ConnectionLimits(high_water_bytes=100_000, overflow_bytes=20_000_000)
        caller = Caller(limits=limits)
        async with listening(desk) as listener:
            for pause in (0, 1):  # over many turns of the loop, and within one
                connection, _ = await caller.dial(listener.port)
                accepted, _ = await desk.opened.get()
                accepted.pause_reading()
                while connection.is_open:
                    connection.send(bytes(100_000))
                    assert connection.queued < 21_000_000
                    if not pause:
                        await asyncio.sleep(0)
                assert "does not read" in str(await caller.lost.get())
                assert connection.queued == 0

    run(loop, main)


def test_closing_sends_what_is_queued_but_waits_for_nobody(loop: str) -> None:
    async def main() -> None:
        desk, caller = Desk(), Caller()
        async with listening(desk) as listener:
            connection, _ = await caller.dial(listener.port, hello(Role.BULK, node_id=3))
            await desk.opened.get()
            connection.send(b"last words")
            await hang_up(connection)
            assert await desk.bulk.get() == (3, [b"last words"])
            await desk.lost.get()
            stuck, _ = await caller.dial(listener.port)
            accepted, _ = await desk.opened.get()
            accepted.pause_reading()
            for _ in range(3):
                stuck.send(bytes(10_000_000))
            await hang_up(stuck)  # ends by the second that closing may take

    run(loop, main)


def test_a_listener_starts_again_and_closes_everybody(loop: str) -> None:
    async def main() -> None:
        caller = Caller()
        async with listening(Desk()) as listener:
            port = listener.port
            with pytest.raises(RuntimeError):
                await listener.start("127.0.0.1", 0, tls=None)
            connection, _ = await caller.dial(port)
            # One that has not said hello yet.
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await listener.close()
            await connection.wait_lost()
            assert isinstance(await caller.lost.get(), ConnectionLost)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            with pytest.raises(Unavailable):
                await caller.dial(port)
            await listener.start("127.0.0.1", port, tls=None)
            connection, _ = await caller.dial(port)
            await hang_up(connection)

    run(loop, main)

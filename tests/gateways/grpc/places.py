"""What these tests share: loops, a service that does what it is asked, a client of raw frames."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import uvloop
from aiohttp import web
from grpc import aio
from hpack import Decoder, Encoder

from quorate.gateways.grpc.codes import Code, RpcError
from quorate.gateways.grpc.frames import PREFACE, frame
from quorate.gateways.grpc.limits import GrpcLimits
from quorate.gateways.grpc.methods import Call, StreamCall, StreamMethod, UnaryMethod
from quorate.gateways.grpc.server import GrpcServer
from quorate.runtime.transport.tls import TlsConfig

Channel = aio.Channel
Result = TypeVar("Result")

PATIENCE = 60.0
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
UNARY = "/test.Service/Unary"
FAIL = "/test.Service/Fail"
BREAK = "/test.Service/Break"
WAIT = "/test.Service/Wait"
TELL = "/test.Service/Tell"
CHAT = "/test.Service/Chat"
COLLECT = "/test.Service/Collect"
COUNT = "/test.Service/Count"
IGNORE = "/test.Service/Ignore"


def run(loop_name: str, main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run on a loop of that kind; nothing may reach the loop's exception handler."""
    complaints: list[dict[str, Any]] = []

    async def bounded() -> Result:
        asyncio.get_running_loop().set_exception_handler(lambda _, c: complaints.append(c))
        async with asyncio.timeout(PATIENCE):
            return await main()

    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        result = runner.run(bounded())
    assert complaints == []
    return result


def same(data: bytes) -> bytes:
    """Messages here are plain bytes; some cannot be decoded."""
    if data == b"unreadable":
        raise ValueError("not to be told")
    return data


def numbers(request: bytes) -> tuple[int, int]:
    """Return how many messages are asked for, and of which size."""
    match = re.fullmatch(rb"([0-9]{1,7}) ([0-9]{1,6})", request)
    if match is None or int(match[2]) < 8:
        raise RpcError(Code.INVALID_ARGUMENT, "two numbers, please")
    return int(match[1]), int(match[2])


class Service:
    """Handlers, and what happened to them."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[str] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.sent = 0
        self.go_on = asyncio.Event()
        self.methods: dict[str, UnaryMethod | StreamMethod] = {
            UNARY: UnaryMethod(same, same, self.unary),
            FAIL: UnaryMethod(same, same, self.fail),
            BREAK: UnaryMethod(same, same, self.break_down),
            WAIT: UnaryMethod(same, same, self.wait),
            TELL: UnaryMethod(same, same, self.tell),
            CHAT: StreamMethod(same, same, self.chat),
            COLLECT: StreamMethod(same, same, self.collect),
            COUNT: StreamMethod(same, same, self.count),
            IGNORE: StreamMethod(same, same, self.ignore),
        }

    async def unary(self, request: bytes, _: Call) -> bytes:
        return request

    async def fail(self, request: bytes, _: Call) -> bytes:
        code, _colon, text = request.decode("utf-8", "replace").partition(":")
        raise RpcError(Code(int(code)) if code in {"5", "9"} else Code.UNKNOWN, text)

    async def break_down(self, request: bytes, _: Call) -> bytes:
        raise ValueError(request.decode())

    async def wait(self, request: bytes, _: Call) -> bytes:
        """Wait until the test says go."""
        self.started.put_nowait(request.decode())
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.ended.put_nowait("cancelled")
            raise
        self.ended.put_nowait("answered")
        return request

    async def tell(self, _: bytes, call: Call) -> bytes:
        """Tell what a handler is told."""
        told = {
            "metadata": dict(call.metadata),
            "deadline": call.deadline,
            "address": call.peer.address,
            "name": call.peer.name,
        }
        return json.dumps(told).encode()

    async def chat(self, call: StreamCall) -> None:
        """Echo."""
        self.started.put_nowait("chat")
        try:
            while (message := await call.receive()) is not None:
                await call.send(message)
        except asyncio.CancelledError:
            self.ended.put_nowait("cancelled")
            raise
        self.ended.put_nowait("finished")

    async def collect(self, call: StreamCall) -> None:
        """Send one message that is all of the client's."""
        await self.go_on.wait()
        parts = []
        while (message := await call.receive()) is not None:
            parts.append(message)
        await call.send(b"".join(parts))

    async def count(self, call: StreamCall) -> None:
        """Send so many messages of so many bytes."""
        request = await call.receive()
        number, size = numbers(request or b"")
        try:
            for index in range(number):
                await call.send(b"%08d" % index + bytes(size - 8))
                self.sent += 1
        except asyncio.CancelledError:
            self.ended.put_nowait("cancelled")
            raise
        self.ended.put_nowait("finished")

    async def ignore(self, call: StreamCall) -> None:
        """Read nothing until told, then tell how much there was."""
        self.started.put_nowait("ignore")
        await self.go_on.wait()
        total = 0
        while (message := await call.receive()) is not None:
            total += len(message)
        await call.send(b"%d" % total)


@asynccontextmanager
async def serving(
    service: Service,
    *,
    http: web.Application | None = None,
    limits: GrpcLimits | None = None,
    tls: TlsConfig | None = None,
) -> AsyncIterator[GrpcServer]:
    """A server on this machine."""
    server = GrpcServer(service.methods, http=http, limits=limits, tls=tls)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        await server.close()
        assert server.connections == 0


@asynccontextmanager
async def channel_to(server: GrpcServer, **options: int) -> AsyncIterator[Channel]:
    """A channel of grpcio's."""
    named = [(f"grpc.{name}", value) for name, value in options.items()]
    async with aio.insecure_channel(f"127.0.0.1:{server.port}", options=named) as channel:
        yield channel


async def is_well(server: GrpcServer) -> None:
    """Fail unless a good client is served."""
    async with channel_to(server) as channel:
        assert await unary_unary(channel, UNARY)(b"well?", timeout=PATIENCE) == b"well?"


def unary_unary(channel: aio.Channel, path: str) -> aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """A method of plain bytes, as the three that follow."""
    return channel.unary_unary(path)


def unary_stream(channel: aio.Channel, path: str) -> aio.UnaryStreamMultiCallable[bytes, bytes]:
    return channel.unary_stream(path)


def stream_unary(channel: aio.Channel, path: str) -> aio.StreamUnaryMultiCallable[bytes, bytes]:
    return channel.stream_unary(path)


def stream_stream(channel: aio.Channel, path: str) -> aio.StreamStreamMultiCallable[bytes, bytes]:
    return channel.stream_stream(path)


class Frame:
    """A frame as it came."""

    def __init__(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.payload = payload

    def __repr__(self) -> str:
        return f"Frame({self.kind}, {self.flags}, {self.stream}, {self.payload!r})"


class Wire:
    """A client that sends what the test wants, sense or not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.encoder = Encoder()
        self.decoder = Decoder()

    def request(self, path: str = UNARY, **fields: str) -> bytes:
        """Return a request's header block; keyword arguments add or replace fields."""
        given = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "test",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        given |= {name.replace("_", "-"): value for name, value in fields.items()}
        return self.encoder.encode(list(given.items()))

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    def send_frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        """Send a frame."""
        self.writer.write(frame(kind, flags, stream, payload))

    async def read_frame(self) -> Frame | None:
        """Return the next frame, None at the end of the connection."""
        try:
            head = await self.reader.readexactly(9)
            payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)

    async def read_until(self, kind: int, stream: int | None = None) -> Frame:
        """Return the next frame of a kind."""
        while (got := await self.read_frame()) is not None:
            if got.kind == kind and stream in {None, got.stream}:
                return got
        raise AssertionError(f"no frame of type {kind} came")

    async def read_fields(self, stream: int | None = None) -> dict[str, str]:
        """Return the fields of the next HEADERS frame."""
        got = await self.read_until(1, stream)
        return {str(name): str(value) for name, value in self.decoder.decode(got.payload)}

    async def read_goaway(self) -> tuple[int, str]:
        """Return code and text of the GOAWAY that ends the connection."""
        got = await self.read_until(7)
        await self.read_end()
        return int.from_bytes(got.payload[4:8], "big"), got.payload[8:].decode()

    async def read_end(self) -> None:
        """Return when the server has ended the connection."""
        while await self.read_frame() is not None:
            pass


def message(data: bytes, flag: int = 0) -> bytes:
    """Return a message as gRPC frames it."""
    return bytes([flag]) + len(data).to_bytes(4, "big") + data


@asynccontextmanager
async def wire_to(server: GrpcServer, *, greet: bytes | None = None) -> AsyncIterator[Wire]:
    """A raw connection, after the preface unless something else is to be said first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    wire = Wire(reader, writer)
    wire.send(PREFACE + frame(4, 0, 0) if greet is None else greet)
    try:
        yield wire
    finally:
        writer.close()

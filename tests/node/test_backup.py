"""A backup goes as fast as its client takes it, and ends with its client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from weakref import WeakSet

from tests.engines.virtual_time import VirtualClock, run

from quorate.errors import TransportError
from quorate.kv.requests import SnapshotPart, decode_response
from quorate.node.backup import STALLED_SECONDS, TURN_BYTES, Backups
from quorate.runtime.transport.connection import Connection, ConnectionLimits
from quorate.runtime.transport.frames import FrameReader

SLICE = bytes(256 * 1024)
LIMITS = ConnectionLimits(high_water_bytes=2 * 1024 * 1024, overflow_bytes=8 * 1024 * 1024)


class Handshake:
    """One byte opens the connection."""

    def start(self, _: Connection) -> bytes:
        return b""

    def receive(self, _: Connection, buffer: bytearray) -> int:
        return len(buffer)

    def opened(self, _: Connection) -> None:
        pass

    def ended(self, _: Connection, error: TransportError) -> None:
        pass


class Pipe(asyncio.Transport):
    """A transport whose other side reads when the test says so."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._high = 0
        self._queue = bytearray()
        self._paused = False
        self.closed = False
        self.most_queued = 0
        self.parts: list[bytes] = []
        self._reader = FrameReader(LIMITS.frame_bytes)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002  asyncio names them
        self._high = high or 0

    def get_write_buffer_size(self) -> int:
        return len(self._queue)

    def get_extra_info(self, name: str, default: object = None) -> object:  # noqa: ARG002  asyncio names them
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._queue += data
        self.most_queued = max(self.most_queued, len(self._queue))
        if len(self._queue) > self._high and not self._paused:
            self._paused = True
            self._connection.pause_writing()

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)

    def read(self) -> None:
        """Take all that is queued."""
        data = bytes(self._queue)
        self._queue.clear()
        for frame in self._reader.feed(data):
            response = decode_response(frame)
            assert isinstance(response, SnapshotPart)
            self.parts.append(response.data)
        if self._paused:
            self._paused = False
            self._connection.resume_writing()


class Captured:
    """What a capture pins, for as long as its iterator lives."""

    def __init__(self, slices: int) -> None:
        self.pins: WeakSet[_Pin] = WeakSet()
        self.taken = 0
        self._slices = slices

    def chunks(self) -> Iterator[bytes]:
        pin = _Pin()
        self.pins.add(pin)
        return self._chunks(pin)

    def _chunks(self, pin: _Pin) -> Iterator[bytes]:
        for _ in range(self._slices):
            self.taken += 1
            yield SLICE
        del pin


class _Pin:
    pass


def connected(backups: Backups) -> tuple[Connection, Pipe]:
    connection = Connection(Handshake(), LIMITS)
    pipe = Pipe(connection)
    connection.connection_made(pipe)
    connection.on_writable = backups.go_on
    connection.on_lost = lambda lost, _: backups.end(lost)
    connection.data_received(b"x")
    return connection, pipe


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_no_more_is_queued_than_the_high_water_mark_and_a_turn() -> None:
    async def body(_: VirtualClock) -> None:
        backups = Backups()
        connection, pipe = connected(backups)
        captured = Captured(100)
        backups.begin(connection, 1, captured.chunks())
        while connection in backups:
            await turns(20)
            pipe.read()
        await turns(2)
        pipe.read()
        assert pipe.parts == [SLICE] * 100 + [b""]
        assert pipe.most_queued < LIMITS.high_water_bytes + 2 * TURN_BYTES
        assert not captured.pins

    run(body)


def test_a_client_that_reads_nothing_is_given_up_and_its_pin_with_it() -> None:
    async def body(clock: VirtualClock) -> None:
        backups = Backups()
        connection, pipe = connected(backups)
        captured = Captured(100)
        backups.begin(connection, 1, captured.chunks())
        await connection.wait_lost()
        assert STALLED_SECONDS <= clock.now <= 3 * STALLED_SECONDS
        assert captured.taken < 20
        assert connection not in backups
        assert not captured.pins
        assert pipe.closed

    run(body)


def test_a_client_that_is_slow_but_reads_is_not_given_up() -> None:
    async def body(_: VirtualClock) -> None:
        backups = Backups()
        connection, pipe = connected(backups)
        backups.begin(connection, 1, Captured(100).chunks())
        while connection in backups:
            await asyncio.sleep(STALLED_SECONDS * 0.9)
            assert not pipe.closed
            pipe.read()
        await turns(2)
        pipe.read()
        assert pipe.parts[-1] == b""

    run(body)


def test_a_lost_connection_ends_its_backup() -> None:
    async def body(_: VirtualClock) -> None:
        backups = Backups()
        connection, pipe = connected(backups)
        captured = Captured(100)
        backups.begin(connection, 1, captured.chunks())
        pipe.abort()
        await turns(3)
        assert connection not in backups
        assert not captured.pins
        assert captured.taken < 20

    run(body)

"""Other implementations of HTTP/2 agree with every frame of ours."""

from __future__ import annotations

import asyncio
import shutil
from collections import defaultdict
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from h2.settings import SettingCodes

from quorate.gateways.grpc.server import GrpcServer

from .places import CHAT, COUNT, FAIL, LOOPS, PATIENCE, UNARY, Service, message, run, serving

all_loops = pytest.mark.parametrize("loop", LOOPS)
HOW_TO_GET = "nghttp2-client is not installed: make peers"


class StrictClient:
    """The library h2, which raises on whatever the server must not do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.state = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        )
        self.bodies: defaultdict[int, bytes] = defaultdict(bytes)
        self.fields: defaultdict[int, dict[str, str]] = defaultdict(dict)
        self.ended: set[int] = set()
        self.events: list[h2.events.Event] = []

    def flush(self) -> None:
        self.writer.write(self.state.data_to_send())

    def call(self, stream: int, path: str, data: bytes) -> None:
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "test"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        self.state.send_headers(stream, fields)
        for begin in range(0, len(data), 16_384):
            self.state.send_data(stream, data[begin : begin + 16_384])
        self.state.end_stream(stream)
        self.flush()

    async def read_some(self, acknowledged: int | None = None) -> None:
        """Take what comes, and let the server send on by as much or by what is given."""
        data = await self.reader.read(65_536)
        assert data
        for event in self.state.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived):
                assert event.stream_id is not None
                assert event.flow_controlled_length is not None
                self.bodies[event.stream_id] += event.data or b""
                size = acknowledged or event.flow_controlled_length
                self.state.acknowledge_received_data(
                    min(size, event.flow_controlled_length), event.stream_id
                )
            elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                assert event.stream_id is not None
                assert event.headers is not None
                for name, value in event.headers:
                    self.fields[event.stream_id][str(name)] = str(value)
            elif isinstance(event, h2.events.StreamEnded):
                assert event.stream_id is not None
                self.ended.add(event.stream_id)
        self.flush()

    async def until_ended(self, *streams: int) -> None:
        while not self.ended.issuperset(streams):
            await self.read_some()


async def connect(
    server: GrpcServer, settings: dict[SettingCodes, int] | None = None
) -> StrictClient:
    client = StrictClient(*await asyncio.open_connection("127.0.0.1", server.port))
    if settings:
        client.state.local_settings = h2.settings.Settings(client=True, initial_values=settings)
    client.state.initiate_connection()
    client.flush()
    return client


@all_loops
def test_calls_errors_and_streams_are_as_they_should_be(loop: str) -> None:
    async def main() -> None:
        async with serving(Service()) as server:
            client = await connect(server)
            client.call(1, UNARY, message(b"x" * 1000))
            client.call(3, FAIL, message(b"5:not here"))
            client.call(5, CHAT, message(b"one") + message(b"two"))
            client.call(7, "/nothing", b"")
            client.call(9, COUNT, message(b"200 9000"))
            client.call(11, UNARY, message(b"x" * 50_000)[:50_000])
            await client.until_ended(1, 3, 5, 7, 9, 11)
            assert client.bodies[1] == message(b"x" * 1000)
            assert client.bodies[5] == message(b"one") + message(b"two")
            assert len(client.bodies[9]) == 200 * 9005
            found = {stream: fields["grpc-status"] for stream, fields in client.fields.items()}
            assert found == {1: "0", 3: "5", 5: "0", 7: "12", 9: "0", 11: "13"}
            client.writer.close()

    run(loop, main)


@all_loops
@pytest.mark.parametrize("window", [1, 100, 16_384, 1_000_000])
@pytest.mark.parametrize("table", [0, 100, 4096, 65_536])
def test_a_clients_settings_are_kept_to(loop: str, window: int, table: int) -> None:
    wanted = {SettingCodes.INITIAL_WINDOW_SIZE: window, SettingCodes.HEADER_TABLE_SIZE: table}

    async def main() -> None:
        async with serving(Service()) as server:
            client = await connect(server, wanted)
            client.state.decoder.max_allowed_table_size = table
            client.call(1, COUNT, message(b"3 40"))
            client.call(3, UNARY, message(b"y" * 50))
            client.call(5, FAIL, message(b"5:x"))
            await client.until_ended(1, 3, 5)
            assert client.bodies[3] == message(b"y" * 50)
            assert len(client.bodies[1]) == 3 * 45
            client.call(7, UNARY, message(b"z"))
            await client.until_ended(7)
            client.writer.close()

    run(loop, main)


@all_loops
def test_a_window_that_shrinks_under_a_stream_is_kept_to(loop: str) -> None:
    async def main() -> None:
        service = Service()
        async with serving(service) as server:
            client = await connect(server)
            client.call(1, COUNT, message(b"1000 5000"))
            client.call(3, COUNT, message(b"1000 5000"))
            for window in (1000, 200_000, 0, 50, 100_000, 1, 65_535):
                setting = SettingCodes.INITIAL_WINDOW_SIZE
                client.state.update_settings({setting: window})
                client.flush()
                acknowledged = len(
                    [e for e in client.events if isinstance(e, h2.events.SettingsAcknowledged)]
                )
                while acknowledged == len(
                    [e for e in client.events if isinstance(e, h2.events.SettingsAcknowledged)]
                ):
                    await client.read_some(acknowledged=1)
            # What was not acknowledged piece by piece, all at once.
            for stream in (None, 1, 3):
                client.state.increment_flow_control_window(20_000_000, stream)
            client.flush()
            await client.until_ended(1, 3)
            for stream in (1, 3):
                assert len(client.bodies[stream]) == 1000 * 5005
            client.writer.close()

    run(loop, main)


async def outcome(*command: str) -> bytes:
    """Run a command and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out


GRPC = ("-H", "content-type: application/grpc", "-H", "te: trailers")


@pytest.mark.system
@pytest.mark.skipif(shutil.which("nghttp") is None, reason=HOW_TO_GET)
def test_nghttp_is_served(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(message(b"from nghttp"))

    async def main() -> None:
        async with serving(Service()) as server:
            url = f"http://127.0.0.1:{server.port}{UNARY}"
            out = await outcome("nghttp", *GRPC, "--data", str(body), "--padding=100", url)
            assert out == message(b"from nghttp")

    run("uvloop", main)


@pytest.mark.system
@pytest.mark.skipif(shutil.which("h2load") is None, reason=HOW_TO_GET)
def test_h2load_is_served(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(message(b"x" * 256))

    async def main() -> None:
        async with serving(Service()) as server:
            url = f"http://127.0.0.1:{server.port}{UNARY}"
            load = ("-n", "5000", "-c", "5", "-m", "100")
            out = await outcome("h2load", *load, *GRPC, "--data", str(body), url)
            assert b"5000 succeeded, 0 failed" in out
            assert b"status codes: 5000 2xx" in out

    run("uvloop", main)

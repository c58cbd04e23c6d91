"""Echo of 256 bytes: our gRPC server against grpcio's two, each in a process of its own.

The same two clients drive all of them: h2load with a canned message, when it is installed, and
grpcio's asyncio client. Prints calls a second and the server's CPU time per call; exits 1 when
ours spends more than the limit, or is slower than the better of the others.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import psutil
import uvloop

from benchmarks.coordination import report
from quorate.gateways.grpc.methods import Call, UnaryMethod
from quorate.gateways.grpc.server import GrpcServer

SERVICE: Final = "bench.Echo"
PATH: Final = f"/{SERVICE}/Echo"
MESSAGE: Final = b"x" * 256
IN_FLIGHT: Final = (1, 64, 256)
CLIENTS: Final = ("h2load", "grpcio")
THREADS: Final = 16
START_SECONDS: Final = 20.0
CPU_LIMIT_US: Final = 70.0


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grpc_servers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        SERVERS[options.serve]()
        return 0
    rounds, seconds = (1, 0.5) if options.quick else (options.rounds, 1.0)
    samples = measure(rounds, seconds)
    judged = report.rows(samples, metrics(h2load=shutil.which("h2load") is not None))
    print(report.table(judged, list(samples)))
    return int(any(row.missed for row in judged))


def metrics(*, h2load: bool) -> list[report.Metric]:
    """The lines of the table."""
    lines = []
    for client in CLIENTS[0 if h2load else 1 :]:
        for number in IN_FLIGHT:
            what = f"{client}, {number} in flight"
            key = f"{client}_{number}"
            lines.append(report.Metric(f"{key}_calls", f"{what}: calls/s", higher=True, floor=1))
            # One at a time it is the kernel's work to wake the server up that is measured.
            limit = None if number == 1 else CPU_LIMIT_US
            lines.append(
                report.Metric(f"{key}_cpu", "  CPU a call (µs)", higher=False, limit=limit)
            )
    return lines


def measure(rounds: int, seconds: float) -> report.Samples:
    """Start the servers, drive each in turn, and end them."""
    samples: report.Samples = {name: {} for name in SERVERS}
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="grpc-"))
        body = Path(directory) / "body"
        body.write_bytes(b"\0" + len(MESSAGE).to_bytes(4, "big") + MESSAGE)
        children = [(name, stack.enter_context(started(name))) for name in SERVERS]
        for turn in range(rounds):
            order = children[turn % len(children) :] + children[: turn % len(children)]
            for number in IN_FLIGHT:
                for name, child in order:
                    for client, load in drive(child, number, seconds, body).items():
                        into = samples[name]
                        into.setdefault(f"{client}_{number}_calls", []).append(load.per_second)
                        into.setdefault(f"{client}_{number}_cpu", []).append(load.cpu_us)
    return samples


@dataclass(frozen=True)
class Child:
    """A server's process and its port."""

    process: psutil.Process
    port: int

    def cpu_seconds(self) -> float:
        """What it has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@dataclass(frozen=True)
class Load:
    """What one run has shown."""

    per_second: float
    cpu_us: float


@contextlib.contextmanager
def started(name: str) -> Iterator[Child]:
    """A server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.grpc_servers", "--serve", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Child(psutil.Process(process.pid), int(process.stdout.readline()))
        finally:
            process.terminate()


def drive(child: Child, number: int, seconds: float, body: Path) -> dict[str, Load]:
    """Load a server with so many calls at a time, by every client that is there."""
    asyncio.run(call_for(child.port, number, min(seconds, 0.3)))  # warms it up
    loads = {"grpcio": weigh(child, lambda: asyncio.run(call_for(child.port, number, seconds)))}
    if shutil.which("h2load") is not None:
        loads["h2load"] = weigh(child, lambda: h2load(child.port, number, seconds, body))
    return loads


def weigh(child: Child, load: Callable[[], tuple[int, float]]) -> Load:
    """Run a load, which returns its calls and seconds."""
    before = child.cpu_seconds()
    calls, seconds = load()
    return Load(calls / seconds, (child.cpu_seconds() - before) / calls * 1e6)


async def call_for(port: int, number: int, seconds: float) -> tuple[int, float]:
    """Call with grpcio's asyncio client for some time."""
    calls = 0
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echo: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PATH)
        await echo(MESSAGE, timeout=START_SECONDS)
        began = time.perf_counter()

        async def one() -> None:
            nonlocal calls
            while time.perf_counter() - began < seconds:
                assert await echo(MESSAGE) == MESSAGE
                calls += 1

        await asyncio.gather(*(one() for _ in range(number)))
        return calls, time.perf_counter() - began


def h2load(port: int, number: int, seconds: float, body: Path) -> tuple[int, float]:
    """Call with h2load, which is too fast to be what is measured."""
    calls = round(seconds * (2_000 if number == 1 else 10_000))
    out = subprocess.run(
        [
            "h2load",
            *("-n", str(calls), "-c", "1", "-m", str(number), "-d", str(body)),
            *("-H", "content-type: application/grpc", "-H", "te: trailers"),
            f"http://127.0.0.1:{port}{PATH}",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"{calls} succeeded" in out, out
    found = re.search(r"finished in ([0-9.]+)(m?s),", out)
    assert found is not None, out
    return calls, float(found[1]) * (0.001 if found[2] == "ms" else 1.0)


def same(data: bytes) -> bytes:
    """Messages are bytes."""
    return data


async def echo_ours(request: Any, _: Call) -> Any:
    return request


async def echo_grpcio(request: bytes, _: Any) -> bytes:
    return request


def echo_blocking(request: bytes, _: Any) -> bytes:
    return request


async def serve_until_told(port: int, stop: Callable[[], Awaitable[object]]) -> None:
    """Say the port, and end on SIGTERM."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    print(port, flush=True)
    await told.wait()
    await stop()


def serve_ours() -> None:
    async def serve() -> None:
        server = GrpcServer({PATH: UnaryMethod(same, same, echo_ours)})
        await server.start("127.0.0.1", 0)
        await serve_until_told(server.port, server.close)

    uvloop.run(serve())


def serve_grpcio_aio() -> None:
    async def serve() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handlers(echo_grpcio),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        await serve_until_told(port, lambda: server.stop(None))

    asyncio.run(serve())


def serve_grpcio() -> None:
    async def serve() -> None:
        server = grpc.server(ThreadPoolExecutor(THREADS))
        server.add_generic_rpc_handlers((handlers(echo_blocking),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()

        async def stop() -> None:
            server.stop(None).wait()

        await serve_until_told(port, stop)

    asyncio.run(serve())


def handlers(echo: Callable[[bytes, Any], Any]) -> grpc.GenericRpcHandler:
    """The echo as grpcio takes it."""
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    return grpc.method_handlers_generic_handler(SERVICE, {"Echo": method})


SERVERS: Final[dict[str, Callable[[], None]]] = {
    report.OURS: serve_ours,
    "grpcio.aio": serve_grpcio_aio,
    "grpcio": serve_grpcio,
}

if __name__ == "__main__":
    sys.exit(main())

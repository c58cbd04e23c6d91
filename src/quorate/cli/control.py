"""How `quorate dev start` and `stop` reach the `quorate dev` that runs on a directory.

A Unix socket in that directory, for its owner alone: one line of JSON each way, bounded in
size and time. A lock beside it says whether a dev cluster runs there at all, so that what an
earlier one left behind is never mistaken for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from quorate.cli.processes import LocalCluster, LocalNode
from quorate.errors import ConfigurationError, InvalidRequest, QuorateError, Unavailable
from quorate.runtime.world import RealFiles

SOCKET: Final = "dev.sock"
LOCK: Final = "dev.lock"
LINE_BYTES: Final = 4096
READ_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 60.0
START_SECONDS: Final = 30.0


class Ask(msgspec.Struct, frozen=True):
    """What is asked of the dev cluster."""

    action: Literal["start", "stop"]
    name: str


class Reply(msgspec.Struct, frozen=True):
    """What came of it; `error` is empty when it was done."""

    message: str = ""
    error: str = ""


_encode = msgspec.json.Encoder().encode
_decode_ask = msgspec.json.Decoder(Ask).decode
_decode_reply = msgspec.json.Decoder(Reply).decode


def take_directory(directory: Path) -> Callable[[], None]:
    """Take a directory for one dev cluster; return the release. Raises ConfigurationError."""
    try:
        return RealFiles().lock(str(directory / LOCK))
    except BlockingIOError as error:
        raise ConfigurationError(
            f"a dev cluster runs on {directory} already: use it, or choose another --data-dir"
        ) from error


def ask(directory: Path, question: Ask) -> str:
    """Ask the dev cluster that runs on a directory; return what it says.

    Raises ConfigurationError when none runs there, InvalidRequest when it refuses, Unavailable
    when it does not answer.
    """
    try:
        with _reachable(directory) as path, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(path)
            connection.sendall(_encode(question) + b"\n")
            line = connection.makefile("rb").readline(LINE_BYTES)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        raise ConfigurationError(
            f"no dev cluster runs on {directory}: start one with quorate dev, or say which "
            "with --data-dir"
        ) from error
    except OSError as error:
        raise Unavailable(f"the dev cluster on {directory} did not answer: {error}") from error
    if not line.endswith(b"\n"):
        raise Unavailable(f"the dev cluster on {directory} ended before it answered")
    reply = _decode_reply(line)
    if reply.error:
        raise InvalidRequest(reply.error)
    return reply.message


class Control:
    """The side of the running dev cluster: one question at a time."""

    def __init__(self, cluster: LocalCluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._turn = asyncio.Lock()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. The caller has taken the directory."""
        listening = socket.socket(socket.AF_UNIX)
        try:
            # Before the bind, so that there is no moment in which others may connect.
            os.fchmod(listening.fileno(), 0o600)
            (self._directory / SOCKET).unlink(missing_ok=True)
            with _reachable(self._directory) as path:
                listening.bind(path)
            self._server = await asyncio.start_unix_server(
                self._serve, sock=listening, limit=LINE_BYTES
            )
        except BaseException:
            listening.close()
            raise

    async def close(self) -> None:
        """Listen no more, after the question under way was answered."""
        if self._server is None:
            return
        self._server.close()
        async with self._turn:
            (self._directory / SOCKET).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                async with asyncio.timeout(READ_SECONDS):
                    line = await reader.readline()
                writer.write(_encode(await self._answer(line)) + b"\n")
                await writer.drain()
            except (TimeoutError, ValueError):
                pass  # too slow, or too long for a line: whoever it is gets no answer
            finally:
                writer.close()
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> Reply:
        try:
            question = _decode_ask(line)
        except msgspec.MsgspecError as error:
            return Reply(error=f"this is no question that a dev cluster knows: {error}")
        async with self._turn:
            try:
                node = self._find(question.name)
                act = self._start if question.action == "start" else self._stop
                return Reply(message=await act(node))
            except QuorateError as error:
                return Reply(error=str(error))

    def _find(self, name: str) -> LocalNode:
        for node in self._cluster.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self._cluster.nodes)
        raise InvalidRequest(f"no node is called {name!r}: there are {known}")

    async def _start(self, node: LocalNode) -> str:
        if node.running:
            raise InvalidRequest(f"{node.name} runs already, as process {node.pid}")
        # In the main thread: the kernel ends a child with the very thread that started it.
        node.start()
        if not await node.settled(START_SECONDS):
            raise Unavailable(
                f"{node.name} ended as soon as it was started: see {node.directory}/log.jsonl"
            )
        return f"{node.name} runs as process {node.pid}"

    async def _stop(self, node: LocalNode) -> str:
        if not node.running:
            raise InvalidRequest(f"{node.name} does not run")
        await asyncio.to_thread(node.stop)
        return f"{node.name} was stopped"


@contextmanager
def _reachable(directory: Path) -> Iterator[str]:
    """Give a short path of the socket: its own may be longer than an address can be (unix(7))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)

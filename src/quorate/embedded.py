"""`file:PATH`: a durable store in a directory, for the processes of one machine.

It is a cluster of one node, and the first process that opens the directory runs it, in a
thread of its own: same log, same machine, same promises. The others reach it over a Unix
socket in that directory. When its process ends, however it ends, another one that has the
directory open takes the node over; clients notice nothing but a moment's wait, since what
they had sent and got no answer to is sent again and done once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from quorate.engines.cluster import ClusterStore
from quorate.errors import ConfigurationError, HandshakeRefused, QuorateError
from quorate.node import Node, NodeConfig
from quorate.node.config import Tuning
from quorate.protocol.raft import RaftConfig
from quorate.runtime.ports import Ports
from quorate.runtime.real_ports import real_ports
from quorate.runtime.unix_network import UnixNetwork
from quorate.store.port import Capabilities

NAME: Final = "embedded"
ADDRESS: Final = "127.0.0.1:7400"
"""A name for the one place that there is."""
LOOK_SECONDS: Final = 0.1
"""How often a process looks whether the directory's owner is gone."""
MILLISECOND: Final = 1_000_000
TUNING: Final = Tuning(
    # Alone one need not wait for others to be heard.
    raft=RaftConfig(heartbeat_ns=50 * MILLISECOND, election_ns=150 * MILLISECOND)
)

logger: logging.Logger = logging.getLogger("quorate.embedded")


class FileStore(ClusterStore):
    """The store in a directory, which is made if need be. Make it inside a running loop.

    `timeout` (seconds) bounds every call. Raises ConfigurationError for a path that can be no
    directory.
    """

    def __init__(self, path: str, *, timeout: float) -> None:
        directory = Path(path).absolute()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"file:{path} can be no store: {error}") from error
        door = Door(str(directory))
        ports = dataclasses.replace(real_ports(), network=door)
        self._owner = Owner(str(directory), ports, door)
        super().__init__([ADDRESS], timeout=timeout, ports=ports)

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        return Capabilities(engine="file")

    async def close(self) -> None:
        """Close every watch and connection; if this process owns the store, let another."""
        await super().close()
        await asyncio.to_thread(self._owner.close)


class Door(UnixNetwork):
    """The socket in the directory, and why nobody answers there."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.failure = ""

    async def connect(
        self,
        factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Connect; what the node here died of explains a failure better than the socket."""
        try:
            await super().connect(factory, host, port, tls)
        except OSError as error:
            if self.failure:
                raise HandshakeRefused(self.failure) from error
            raise


class Owner:
    """The thread that runs the node, or waits until it may."""

    def __init__(self, directory: str, ports: Ports, door: Door) -> None:
        self._directory = directory
        self._ports = ports
        self._door = door
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="quorate-embedded", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the node, if it runs here, and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._own())

    async def _own(self) -> None:
        while not self._closing.is_set():
            if self._is_free():
                try:
                    await self._serve()
                except (QuorateError, OSError) as error:
                    self._door.failure = f"the store in {self._directory} stopped: {error}"
                    logger.warning("%s", self._door.failure)
            try:
                await asyncio.wait_for(self._closing.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    def _is_free(self) -> bool:
        try:
            release = self._ports.files.lock(f"{self._directory}/lock")
        except BlockingIOError:
            return False
        release()
        return True

    async def _serve(self) -> None:
        """Run the node until it fails or this process wants no more of it."""
        config = NodeConfig(
            name=NAME,
            data_dir=self._directory,
            listen=ADDRESS,
            peers=(f"{NAME}={ADDRESS}",),
            token=f"{self._ports.randomness.bits(64):x}",
        )
        node = Node(config, tuning=TUNING, ports=self._ports)
        await node.start()
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            failed = node.failed
            closing.add_done_callback(lambda _: failed.cancel())
            error = await failed
        except asyncio.CancelledError:
            return
        else:
            raise error
        finally:
            closing.cancel()
            await node.stop()

"""A session at ZooKeeper: it outlives its connections, and goes on at whichever server answers.

The servers keep a session for its timeout after they last heard of it. Requests that may be
repeated move on to the next server until their deadline; a write is sent once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from quorate.codecs.zookeeper.records import Code, Notification, Operation
from quorate.engines.zookeeper.connection import NOTHING, Connection, Reply, Request
from quorate.engines.zookeeper.role import waits_for_syncs
from quorate.engines.zookeeper.servers import Servers
from quorate.errors import (
    ConnectionLost,
    LeaseNotFound,
    OutcomeUnknown,
    Unauthenticated,
    Unavailable,
)

ATTEMPT_SECONDS: Final = 2.0
"""How long one server may take for what another could answer."""
ANSWERS_PER_SECOND: Final = 1000
"""What a server gives at least, when much is asked at once."""
RETRY_SECONDS: Final = 0.05
CLOSE: Final = Request(Operation.CLOSE_SESSION, b"")
_NOT_DONE: Final = (Code.SESSION_EXPIRED, Code.SESSION_MOVED)
"""The session is not at this server (any more): it has done nothing."""


class Session:
    """One session. `timeout` (milliseconds) is asked for at first, then what was granted."""

    def __init__(self, servers: Servers, timeout: int) -> None:
        self._servers = servers
        self._on_event: Callable[[Notification, int], None] = lambda *_: None
        self._on_connect: Callable[[], None] = lambda: None
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._next_server = servers.ports.randomness.bits(16)
        self._password = b""
        self._zxid = 0
        self._syncs = False
        self.id = 0
        self.timeout = timeout
        self.ended = False
        self.lost: asyncio.Event = asyncio.Event()
        """Set while there is no connection."""

    def listen(
        self, on_event: Callable[[Notification, int], None], on_connect: Callable[[], None]
    ) -> None:
        """Hear what watches see, after which transaction, and of each new connection."""
        self._on_event = on_event
        self._on_connect = on_connect

    async def ask(self, requests: Sequence[Request], seconds: float) -> list[Reply]:
        """Send requests that do no harm when they are done twice, together and in order.

        Raises Unavailable, LeaseNotFound.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            connection = await self.connect(deadline)
            try:
                patience = ATTEMPT_SECONDS + len(requests) / ANSWERS_PER_SECOND
                async with asyncio.timeout_at(min(deadline, loop.time() + patience)):
                    answers = [connection.send(self._fit(request)) for request in requests]
                    replies = [await answer for answer in answers]
            except TimeoutError:
                connection.abort()
            except ConnectionLost:
                pass
            else:
                if not any(reply.code in _NOT_DONE for reply in replies):
                    return replies
                connection.abort()
            if loop.time() + RETRY_SECONDS >= deadline:
                raise Unavailable(self._explain())
            await asyncio.sleep(RETRY_SECONDS)

    async def tell(self, request: Request, seconds: float) -> Reply:
        """Send a write, once. Raises Unavailable, OutcomeUnknown, LeaseNotFound."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            connection = await self.connect(deadline)
            if connection.ended:
                continue
            try:
                async with asyncio.timeout_at(deadline):
                    reply = await connection.send(request)
            except (TimeoutError, ConnectionLost) as error:
                connection.abort()
                raise OutcomeUnknown(
                    "the write was sent and not answered; it happened once or not at all: read "
                    f"the keys to find out ({self._explain()})"
                ) from error
            if reply.code not in _NOT_DONE:
                return reply
            connection.abort()
            await asyncio.sleep(RETRY_SECONDS)

    async def connect(self, deadline: float) -> Connection:
        """Return a connection that stands; raises Unavailable, LeaseNotFound."""
        async with self._connecting:
            loop = asyncio.get_running_loop()
            addresses = self._servers.addresses
            passed = 0
            while self._connection is None or self._connection.ended:
                if self.ended:
                    raise LeaseNotFound(f"the session {self.id:x} ended, and its keys with it")
                address = addresses[self._next_server % len(addresses)]
                try:
                    async with asyncio.timeout_at(min(deadline, loop.time() + ATTEMPT_SECONDS)):
                        if passed + 1 < len(addresses) and not await self._waits_at(address):
                            self._next_server += 1
                            passed += 1
                            continue
                        self._syncs = False
                        self._connection = await self._open(address)
                        # A server that comes to lead ends its connections: as long as this one
                        # stands, the answer holds.
                        self._syncs = await self._waits_at(address)
                except (OSError, TimeoutError, ConnectionLost) as error:
                    self._next_server += 1
                    if loop.time() + RETRY_SECONDS >= deadline:
                        raise Unavailable(self._explain()) from error
                    await asyncio.sleep(RETRY_SECONDS)
            return self._connection

    async def _waits_at(self, address: str) -> bool:
        return await waits_for_syncs(self._servers, address)

    def _fit(self, request: Request) -> Request:
        """Return what a request must be at this server: where `sync` does not wait, a write."""
        return NOTHING if request.operation is Operation.SYNC and not self._syncs else request

    async def close(self, seconds: float) -> None:
        """End the session and its ephemeral nodes, if a server is there to be told."""
        connection, self.ended = self._connection, True
        if connection is None or connection.ended:
            return
        try:
            async with asyncio.timeout(seconds):
                await connection.send(CLOSE)
        except (TimeoutError, ConnectionLost):
            return
        finally:
            await connection.close()

    async def abandon(self) -> None:
        """Leave the session to its timeout."""
        self.ended = True
        if self._connection is not None:
            await self._connection.close()

    def _begin_anew(self) -> None:
        """What happens when the servers no longer know the session."""
        self.ended = True

    async def _open(self, address: str) -> Connection:
        connection = Connection(self._on_event, self.lost.set)
        host, _, port = address.rpartition(":")
        servers = self._servers
        await servers.ports.network.connect(lambda: connection, host, int(port), servers.tls)
        try:
            return await self._shake_hands(connection)
        except BaseException:
            await connection.close()
            raise

    async def _shake_hands(self, connection: Connection) -> Connection:
        # A server that is behind what this client has seen does not take it.
        if self._connection is not None:
            self._zxid = max(self._zxid, self._connection.zxid)
        granted = await connection.open(self._zxid, self.timeout, self.id, self._password)
        if not granted.id:
            self._begin_anew()
            raise ConnectionLost("the session had ended")
        self.id, self.timeout, self._password = granted.id, granted.timeout, granted.password
        login = self._servers.login
        if login is not None and await connection.authenticate("digest", login) != Code.OK:
            raise Unauthenticated("ZooKeeper refused the user or the password of the URL")
        self.lost.clear()
        self._on_connect()
        return connection

    def _explain(self) -> str:
        return f"no answer from ZooKeeper at {', '.join(self._servers.addresses)}"


class LastingSession(Session):
    """A session that stands for no lease: when it ends, another takes its place."""

    def _begin_anew(self) -> None:
        self.id, self._password = 0, b""

    async def keep(self) -> None:
        """Stay connected, for the watches; a server that answers no ping is left."""
        loop = asyncio.get_running_loop()
        while not self.ended:
            pause = self.timeout / 3000
            try:
                connection = await self.connect(loop.time() + pause)
            except Unavailable:
                continue
            if not await self._is_lost_within(pause):
                await _prove_alive(connection, pause)

    async def _is_lost_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self.lost.wait(), seconds)
        except TimeoutError:
            return False
        return True


async def _prove_alive(connection: Connection, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await connection.ping()
    except TimeoutError:
        connection.abort()
    except ConnectionLost:
        return

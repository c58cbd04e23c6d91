"""The one connection of a client, always to the leader, and the requests that wait on it.

Whatever waits is sent again after a reconnect: reads because they change nothing, writes
because their session makes them exactly-once. A request ends when it is answered or when
its deadline passes; an answer that says "not the leader" only moves the connection.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from quorate.errors import HandshakeRefused, QuorateError, TransportError, Unavailable
from quorate.kv.commands import RefusalCode
from quorate.kv.requests import Failed, Members, Response, WatchEvents, decode_response
from quorate.runtime.ports import Clock, Randomness
from quorate.runtime.scope import TaskScope
from quorate.runtime.transport.connection import Connection
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import PROTOCOL_VERSION, Hello, Role

SECOND: Final = 1_000_000_000
PATIENCE_SECONDS: Final = 2.0
"""How long a node may owe an answer without a word before another is asked."""
SWEEP_SECONDS: Final = 0.005
"""Deadlines that lie so close together are looked at together."""
NEVER: Final = 1 << 62
BACKOFF_SECONDS: Final = (0.005, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
"""How long to wait after a node that was of no use, once every one was asked."""
HOPE_SECONDS: Final = (0.1, 0.5)
"""How long a node that knows no leader is listened to, before and after every one was asked."""
MOVES: Final = frozenset((RefusalCode.NOT_LEADER, RefusalCode.UNAVAILABLE))


class Pending:
    """One request on its way. `payload(id)` encodes it; `sent` counts the attempts."""

    __slots__ = ("deadline", "fail", "id", "payload", "resend", "sent", "succeed")

    def __init__(
        self,
        payload: Callable[[int], bytes],
        succeed: Callable[[Response], None],
        fail: Callable[[Pending, Failed | None], None],
        deadline: int,
    ) -> None:
        self.payload = payload
        self.succeed = succeed
        self.fail = fail
        self.deadline = deadline
        self.resend = True
        self.sent = 0
        self.id = 0


class Link:
    """Finds the leader, follows it, and keeps what waits for it."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        dialer: Dialer,
        clock: Clock,
        randomness: Randomness,
        scope: TaskScope,
    ) -> None:
        self._seeds = list(dict.fromkeys(addresses))
        self._addresses = self._seeds
        self._dialer = dialer
        self._clock = clock
        self._randomness = randomness
        self._scope = scope
        self._ids = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._connection: Connection | None = None
        self._preferred: str | None = None
        self._connecting = False
        self._hoping: tuple[Connection, asyncio.Future[str]] | None = None
        """A node that knows no leader yet, and what it will say of one."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._sweep_at = NEVER
        self._closed = False
        self._refused: HandshakeRefused | None = None
        self._heard_at = 0
        self.cluster_id = 0
        self.commit_index = 0
        self.address = ""
        self.on_events: Callable[[WatchEvents], None] = lambda _: None
        self.on_connected: Callable[[], None] = lambda: None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it looks: the members that it has heard of, and those of its URL."""
        return tuple(self._addresses)

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None

    @property
    def silence(self) -> float:
        """How long the node has said nothing, in seconds; 0 without a connection."""
        if self._connection is None:
            return 0.0
        return (self._clock.monotonic() - self._heard_at) / SECOND

    def submit(self, pending: Pending) -> int:
        """Send a request now or as soon as there is a connection; return its id."""
        if self._closed:
            raise Unavailable("the client is closed: make a new one")
        pending.id = next(self._ids)
        self._pending[pending.id] = pending
        if self._connection is not None:
            self._send(pending)
        else:
            self.connect()
        self._sweep_by(pending.deadline)
        return pending.id

    def expect(self, pending: Pending) -> None:
        """Wait for a further answer to a request that was answered in part."""
        self._pending[pending.id] = pending

    def forget(self, request: int) -> None:
        """Stop waiting for a request."""
        self._pending.pop(request, None)

    def post(self, payload: bytes) -> None:
        """Send something that has no answer, if there is a connection."""
        if self._connection is not None:
            self._connection.send(payload)

    def connect(self) -> None:
        """Look for the leader in the background."""
        if not self._connecting and not self._closed:
            self._connecting = True
            self._scope.spawn(self._connect(), name="find-leader")

    def move(self, leader: str) -> None:
        """Leave this node for another that leads, or for any when none is known."""
        self._preferred = leader or None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close("looking for the leader")
        self.connect()

    async def close(self) -> None:
        """Close the connection and fail what waits."""
        self._closed = True
        for timer in (self._sweeper, self._patience):
            if timer is not None:
                timer.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close("the client closes")
            await connection.wait_lost()
        waiting, self._pending = self._pending, {}
        for pending in waiting.values():
            pending.fail(pending, None)

    def explain(self) -> str:
        """Say what is known of why nobody answers."""
        if self._refused is not None:
            return str(self._refused)
        nodes = ", ".join(self._addresses)
        return f"no leader answered among {nodes}: check that a majority of the nodes is up"

    def _send(self, pending: Pending) -> None:
        assert self._connection is not None
        pending.sent += 1
        self._connection.send(pending.payload(pending.id))
        if self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE_SECONDS, self._lose_patience)

    def _lose_patience(self) -> None:
        """Leave a node that owes an answer and says nothing: it may stand still.

        What waits is sent again elsewhere, so that a leader which hangs costs seconds and not
        the whole deadline.
        """
        self._patience = None
        if self._closed or not any(
            pending.sent and pending.deadline != NEVER for pending in self._pending.values()
        ):
            return
        silence = self.silence
        if silence >= PATIENCE_SECONDS:
            self.move("")
            silence = 0.0
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(PATIENCE_SECONDS - silence + 0.05, self._lose_patience)

    def _learn(self, members: Sequence[str]) -> None:
        """Take over where the members are now; those of the URL are never forgotten."""
        if members:
            self._addresses = list(dict.fromkeys((*members, *self._seeds)))

    async def _connect(self) -> None:
        try:
            tried = 0
            while True:
                for address in self._candidates():
                    tried += 1
                    pause = self._pause(tried - len(self._addresses))
                    if self._closed or await self._try(address, pause):
                        return
                    if self._preferred:
                        break
        finally:
            self._connecting = False

    def _pause(self, times: int) -> float:
        """How long to wait before the next node is asked, once every one was, in seconds.

        Clients without a leader are many, and must not take the nodes from their election.
        """
        if times <= 0:
            return 0.0
        wait = BACKOFF_SECONDS[min(times, len(BACKOFF_SECONDS)) - 1]
        return wait * self._randomness.uniform(0.5, 1.5)

    def _candidates(self) -> list[str]:
        preferred, self._preferred = self._preferred, None
        rest = [address for address in self._addresses if address != preferred]
        return [preferred, *rest] if preferred else rest

    async def _try(self, address: str, pause: float) -> bool:
        """Adopt a node that leads; False after a pause if it does not, whatever it is."""
        hello = Hello(PROTOCOL_VERSION, Role.CLIENT, self.cluster_id)
        try:
            connection, welcome = await self._dialer.dial(
                address, hello, on_frames=self._on_frames, on_lost=self._on_lost
            )
        except HandshakeRefused as error:
            self._refused = error
            await asyncio.sleep(pause)
            return False
        except (QuorateError, OSError):
            await asyncio.sleep(pause)
            return False
        if self._closed:
            connection.close("the client closes")
            await connection.wait_lost()
            return True
        self._learn(welcome.members)
        leader = welcome.leader_address
        if not leader:
            leader = await self._hope(connection, HOPE_SECONDS[pause > 0])
            pause = 0.0
        if leader != address or not connection.is_open:
            connection.close("looking for the leader")
            await connection.wait_lost()
            self._preferred = leader or None
            await asyncio.sleep(pause)
            return False
        self._refused = None
        self.cluster_id = welcome.cluster_id
        self.commit_index = welcome.commit_index
        self.address = address
        self._adopt(connection)
        return True

    async def _hope(self, connection: Connection, seconds: float) -> str:
        """Wait until a node has heard of a leader; return where that is, or nothing."""
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._hoping = connection, told
        try:
            async with asyncio.timeout(seconds * self._randomness.uniform(0.5, 1.5)):
                return await told
        except TimeoutError:
            return ""
        except BaseException:
            connection.close("the client closes")
            raise
        finally:
            self._hoping = None

    def _adopt(self, connection: Connection) -> None:
        self._connection = connection
        self._connecting = False
        self._heard_at = self._clock.monotonic()
        for pending in list(self._pending.values()):
            if pending.sent and not pending.resend:
                del self._pending[pending.id]
                pending.fail(pending, None)
            else:
                self._send(pending)
        self.on_connected()

    def _on_lost(self, connection: Connection, _: TransportError) -> None:
        if self._hoping is not None and connection is self._hoping[0]:
            self._tell("")
        if connection is self._connection:
            self._connection = None
            self._preferred = None
            # Even without a request, watches and the next write want the leader soon.
            self.connect()

    def _on_frames(self, connection: Connection, frames: list[bytes]) -> None:
        if connection is not self._connection:
            if self._hoping is not None and connection is self._hoping[0]:
                self._listen(frames)
            return
        self._heard_at = self._clock.monotonic()
        for frame in frames:
            try:
                response = decode_response(frame)
            except msgspec.MsgspecError:
                connection.close("an answer that is none")
                return
            if type(response) is WatchEvents:
                self.on_events(response)
                continue
            if type(response) is Members and not response.id:
                self._learn([member.address for member in response.members])
                continue
            if type(response) is Failed and response.refusal.code in MOVES:
                self.move(response.leader)
                return
            pending = self._pending.pop(response.id, None)
            if pending is None:
                continue
            if type(response) is Failed:
                pending.fail(pending, response)
            else:
                pending.succeed(response)

    def _listen(self, frames: list[bytes]) -> None:
        """Take what a node says that knew no leader."""
        for frame in frames:
            try:
                response = decode_response(frame)
            except msgspec.MsgspecError:
                return
            if type(response) is Failed and response.leader:
                self._tell(response.leader)

    def _tell(self, leader: str) -> None:
        if self._hoping is not None and not self._hoping[1].done():
            self._hoping[1].set_result(leader)

    def _sweep(self) -> None:
        """End the requests whose deadline passed; one timer serves them all."""
        self._sweep_at = NEVER
        now = self._clock.monotonic()
        for request, pending in list(self._pending.items()):
            if pending.deadline <= now:
                del self._pending[request]
                pending.fail(pending, None)
        earliest = min((pending.deadline for pending in self._pending.values()), default=NEVER)
        self._sweep_by(earliest)

    def _sweep_by(self, deadline: int) -> None:
        """See to it that `_sweep` runs at this time at the latest."""
        if deadline >= self._sweep_at:
            return
        self._sweep_at = deadline
        if self._sweeper is not None:
            self._sweeper.cancel()
        delay = max((deadline - self._clock.monotonic()) / SECOND, SWEEP_SECONDS)
        self._sweeper = asyncio.get_running_loop().call_later(delay, self._sweep)

"""The outgoing links to the other members.

Law: a link never waits and never blocks. What cannot be sent now is dropped, because Raft
sends again what matters and a queue of old messages only delays the new ones. Each direction
of a pair has its own connection, dialled by its sender, so no two sides race for one; what
the others send arrives at the `Listener`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from quorate.errors import HandshakeRefused, TransportError, Unavailable
from quorate.runtime.ports import Randomness
from quorate.runtime.scope import TaskScope
from quorate.runtime.transport.address import split_address
from quorate.runtime.transport.connection import Connection, ignore_loss, logger
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import Hello, Role

FIRST_DELAY = 0.05
LARGEST_DELAY = 2.0

PEER_BOUND = 32 * 1024 * 1024
"""Bytes that may wait on a consensus link before messages are dropped."""
BULK_BOUND = 8 * 1024 * 1024
"""Bytes that may wait on a bulk link: a few chunks, since more only grow stale."""


@dataclass(frozen=True)
class LinkEvents:
    """Who hears of the consensus links, and of failures that nothing foresaw."""

    on_up: Callable[[int], None]
    on_down: Callable[[int], None]
    on_error: Callable[[str, BaseException], None]


class PeerLinks:
    """Keeps a consensus link and a bulk link to every other member."""

    def __init__(
        self, dialer: Dialer, hello: Hello, randomness: Randomness, events: LinkEvents
    ) -> None:
        self._dialer = dialer
        self._hello = hello
        self._randomness = randomness
        self._events = events
        self._scope = TaskScope(events.on_error)
        self._peers: dict[int, _PeerLink] = {}
        self._bulks: dict[int, _BulkLink] = {}

    def update(self, members: Mapping[int, str]) -> None:
        """Link to these members (address by node id), ourselves left out, and to no others.

        A member whose address changed is dialled anew. Raises ConfigurationError for a text
        that is no address, before anything is changed.
        """
        wanted = {
            node_id: address
            for node_id, address in sorted(members.items())
            if node_id != self._hello.node_id
        }
        for address in wanted.values():
            split_address(address)
        for node_id, link in list(self._peers.items()):
            if wanted.get(node_id) != link.address:
                del self._peers[node_id]
                link.stop()
                self._bulks.pop(node_id).stop()
        for node_id, address in wanted.items():
            if node_id not in self._peers:
                self._open(node_id, address)

    def send(self, node_id: int, payload: bytes) -> bool:
        """Send to a member, or drop; tell which. True does not mean that it arrives."""
        link = self._peers.get(node_id)
        return link is not None and link.send(payload)

    def send_bulk(self, node_id: int, payload: bytes) -> bool:
        """Send by the bulk link, or drop; tell which."""
        link = self._bulks.get(node_id)
        return link is not None and link.send(payload)

    def is_up(self, node_id: int) -> bool:
        """Tell whether the consensus link to a member is open."""
        link = self._peers.get(node_id)
        return link is not None and link.is_up

    def trouble(self, node_id: int) -> str:
        """Return why the last attempt to reach a member failed; "" when none did."""
        link = self._peers.get(node_id)
        return "" if link is None else link.trouble

    async def close(self) -> None:
        """End all links and wait until their connections have ended."""
        self._peers.clear()
        self._bulks.clear()
        await self._scope.close()

    def _open(self, node_id: int, address: str) -> None:
        peer = _PeerLink(node_id, address, self._events)
        bulk = _BulkLink(node_id, address)
        self._peers[node_id] = peer
        self._bulks[node_id] = bulk
        for link in (peer, bulk):
            hello = msgspec.structs.replace(self._hello, role=link.role)
            link.task = self._scope.spawn(
                link.run(self._dialer, hello, self._randomness),
                f"{link.role.name.lower()} link to node {node_id}",
            )


class _Link:
    """One outgoing connection, dialled again whenever it ends."""

    role: Role
    bound: int

    def __init__(self, node_id: int, address: str) -> None:
        self.node_id = node_id
        self.address = address
        self.trouble = ""
        self.task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None

    @property
    def is_up(self) -> bool:
        connection = self._connection
        return connection is not None and connection.is_open

    def send(self, payload: bytes) -> bool:
        connection = self._connection
        if connection is None or not connection.is_open:
            return False
        if connection.queued + len(payload) > self.bound:
            return False
        # Whoever sends to a member has gathered a turn's messages already.
        connection.send_at_once(payload)
        return True

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def up(self) -> None:
        """Hear that the link opened."""

    def down(self) -> None:
        """Hear that the link ended."""

    async def run(self, dialer: Dialer, hello: Hello, randomness: Randomness) -> None:
        failures = 0
        while True:
            try:
                await self._session(dialer, hello)
                failures = 0
            except (TransportError, Unavailable) as error:
                # A cluster that is coming up would fill the log with these; say it once.
                if str(error) != self.trouble:
                    logger.debug("no link to node %d: %s", self.node_id, error)
                self.trouble = str(error)
                failures += 1
            # Bounded before it is raised to a power: a node may be away for weeks.
            delay = min(LARGEST_DELAY, FIRST_DELAY * 2 ** min(failures, 10))
            await asyncio.sleep(randomness.uniform(delay / 2, delay))

    async def _session(self, dialer: Dialer, hello: Hello) -> None:
        connection, welcome = await dialer.dial(
            self.address, hello, on_frames=_refuse_frames, on_lost=ignore_loss
        )
        try:
            if welcome.node_id != self.node_id:
                raise HandshakeRefused(
                    f"{self.address} is node {welcome.node_id}, not node {self.node_id}: check "
                    "the addresses of the members"
                )
            self.trouble = ""
            self._connection = connection
            self.up()
            await connection.wait_lost()
        finally:
            if self._connection is not None:
                self._connection = None
                self.down()
            connection.close("the link is not needed any more")
            await connection.wait_lost()


class _PeerLink(_Link):
    """The link for consensus messages; its state is announced."""

    role = Role.PEER
    bound = PEER_BOUND

    def __init__(self, node_id: int, address: str, events: LinkEvents) -> None:
        super().__init__(node_id, address)
        self._events = events

    def up(self) -> None:
        self._events.on_up(self.node_id)

    def down(self) -> None:
        self._events.on_down(self.node_id)


class _BulkLink(_Link):
    """The link for snapshots and other large data, so that they never delay consensus."""

    role = Role.BULK
    bound = BULK_BOUND


def _refuse_frames(connection: Connection, _: list[bytes]) -> None:
    connection.close("frames came by a link that only sends")

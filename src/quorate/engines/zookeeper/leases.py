"""Leases as sessions: each is one session of its own, and its keys are ephemeral nodes.

A follower answers for itself, and tells the leader only every half tick whom it has heard of;
a leader that was deposed does not know it yet. So a renewal is a write, which needs a majority,
and counts what the leader must have heard of by then: whatever the client sent half a tick before.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from quorate.codecs.zookeeper import records
from quorate.codecs.zookeeper.records import Code, Operation
from quorate.engines.zookeeper.connection import NOTHING, Reply, Request
from quorate.engines.zookeeper.errors import refusal
from quorate.engines.zookeeper.servers import Servers
from quorate.engines.zookeeper.session import CLOSE, Session
from quorate.engines.zookeeper.tree import lease_id
from quorate.errors import LeaseNotFound
from quorate.runtime.ports import Clock
from quorate.store.types import Grant

SECOND: Final = 1_000_000_000
TICKS_PER_SHORTEST_SESSION: Final = 2
"""Unless it is configured otherwise, servers grant no shorter one."""
_SHARE: Final = 0.75
"""Of what a session outlives half a tick by, the part that is promised; the rest is for the time
between two renewals, which is a third of a ttl."""


class LeaseSession:
    """One lease. `lag` (seconds) is how late the leader may hear of it."""

    def __init__(self, session: Session, clock: Clock, lag: float, begun: int) -> None:
        self.session = session
        self._clock = clock
        self._lag = int(lag * SECOND)
        self._timeout = session.timeout * SECOND // 1000
        self.ttl = max(session.timeout / 1000 - lag, 0.0) * _SHARE
        self._sent: deque[int] = deque([begun])
        """When the client sent something, from the last time that the leader knows of on."""

    @property
    def id(self) -> int:
        """The lease's number."""
        return lease_id(self.session.id)

    @property
    def remaining(self) -> float:
        """What surely remains of it, in seconds."""
        return max((self._heard_at() + self._timeout - self._clock.monotonic()) / SECOND, 0.0)

    async def keep(self, seconds: float) -> float:
        """Renew it, and return what it is good for from now, in seconds."""
        sent = self._clock.monotonic()
        await self.session.ask([NOTHING], seconds)
        self._sent.append(sent)
        while len(self._sent) > 1 and self._sent[1] + self._lag <= sent:
            self._sent.popleft()
        return min(self.ttl, max((self._heard_at() + self._timeout - sent) / SECOND, 0.0))

    def _heard_at(self) -> int:
        return self._sent[0]


class LeaseSessions:
    """The leases of one client. On ZooKeeper nobody else can renew or end them."""

    def __init__(self, servers: Servers, timeout: float) -> None:
        self._servers = servers
        self._timeout = timeout
        self._clock = servers.ports.clock
        self._lag: float | None = None
        self._leases: dict[int, LeaseSession] = {}

    @property
    def ids(self) -> frozenset[int]:
        """The leases that are not known to have ended."""
        return frozenset(self._leases)

    async def grant(self, ttl: float) -> Grant:
        """Begin a session that is good for `ttl` seconds, as far as the servers allow."""
        lag = await self._find_lag()
        wanted = ttl / _SHARE + lag
        session = Session(self._servers, max(int(wanted * 1000) + 1, 1))
        begun = self._clock.monotonic()
        await session.ask([], self._timeout)
        lease = LeaseSession(session, self._clock, lag, begun)
        self._leases[lease.id] = lease
        return Grant(lease.id, lease.ttl)

    async def keep_alive(self, lease: int) -> float:
        """Renew one. Raises LeaseNotFound."""
        found = self.get(lease)
        try:
            return await found.keep(self._timeout)
        except LeaseNotFound:
            self._leases.pop(lease, None)
            raise

    async def revoke(self, lease: int) -> Reply:
        """End one, and delete its nodes. Raises LeaseNotFound."""
        found = self.get(lease)
        try:
            (reply,) = await found.session.ask([CLOSE], self._timeout)
        finally:
            self._leases.pop(lease, None)
            await found.session.abandon()
        return reply

    async def keys(self, lease: int, root: str) -> list[str]:
        """Return the paths of a lease's nodes. Raises LeaseNotFound."""
        request = Request(Operation.GET_EPHEMERALS, records.of_path(root))
        (reply,) = await self.get(lease).session.ask([request], self._timeout)
        if reply.code != Code.OK:
            raise refusal(reply.code)
        return reply.reader.texts()

    def get(self, lease: int) -> LeaseSession:
        """Return one. Raises LeaseNotFound."""
        found = self._leases.get(lease)
        if found is None:
            raise LeaseNotFound(
                f"lease {lease:x} ended, or is not this client's: on zookeeper a lease is a "
                "session, and belongs to the client that it was granted to"
            )
        return found

    async def close(self) -> None:
        """Leave the sessions to their end."""
        leases, self._leases = list(self._leases.values()), {}
        for lease in leases:
            await lease.session.abandon()

    async def _find_lag(self) -> float:
        """Return half a tick, in seconds, by asking for the shortest session there is."""
        if self._lag is None:
            session = Session(self._servers, 1)
            await session.ask([], self._timeout)
            self._lag = session.timeout / 1000 / TICKS_PER_SHORTEST_SESSION / 2
            await session.close(self._timeout)
        return self._lag

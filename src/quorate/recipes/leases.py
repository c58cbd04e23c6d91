"""One lease per client and ttl, shared by its locks and kept alive in the background.

The client counts from the moment it *sent* the renewal, on a clock that runs on in suspend,
and stops trusting the lease a margin before that ttl is over: before the grantor may end it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from quorate.errors import LeaseNotFound, QuorateError
from quorate.runtime.ports import Clock
from quorate.runtime.scope import TaskScope
from quorate.store.port import Store

SECOND: Final = 1_000_000_000
RENEWALS_PER_TTL: Final = 3
MARGIN: Final = 0.1
"""The part of the ttl that the client gives away for the drift of two clocks."""
RETRY_SECONDS: Final = 0.1


class SharedLease:
    """A live lease. `lost` is set, once, when it can no longer be proven."""

    def __init__(self, identifier: int, ttl: float, sent_at: int, clock: Clock) -> None:
        self.id = identifier
        self.ttl = ttl
        self.lost: asyncio.Event = asyncio.Event()
        self._clock = clock
        self._trusted_until = 0
        self.renewed(sent_at, ttl)

    @property
    def remaining(self) -> float:
        """How long the lease can still be trusted without a renewal, in seconds."""
        return max((self._trusted_until - self._clock.monotonic()) / SECOND, 0.0)

    @property
    def proven(self) -> bool:
        """Whether the lease can be trusted at this moment."""
        return not self.lost.is_set() and self._clock.monotonic() < self._trusted_until

    def renewed(self, sent_at: int, ttl: float) -> None:
        """Note that the lease is good for `ttl` seconds from `sent_at` on."""
        self._trusted_until = sent_at + int(ttl * (1.0 - MARGIN) * SECOND)


class LeaseKeeper:
    """The leases of one client."""

    def __init__(self, store: Store, clock: Clock, scope: TaskScope) -> None:
        self._store = store
        self._clock = clock
        self._scope = scope
        self._leases: dict[float, SharedLease] = {}
        self._granting: dict[float, asyncio.Lock] = {}

    async def lease(self, ttl: float) -> SharedLease:
        """Return the client's lease of this ttl; grant one when there is none."""
        async with self._granting.setdefault(ttl, asyncio.Lock()):
            lease = self._leases.get(ttl)
            if lease is not None and lease.proven:
                return lease
            sent_at = self._clock.monotonic()
            grant = await self._store.grant(ttl)
            lease = SharedLease(grant.id, grant.ttl, sent_at, self._clock)
            self._leases[ttl] = lease
            self._scope.spawn(self._keep(ttl, lease), name="lease-keeper")
            return lease

    async def close(self) -> None:
        """Revoke every lease, so that nobody waits for its end."""
        leases, self._leases = list(self._leases.values()), {}
        for lease in leases:
            lease.lost.set()
            try:
                await self._store.revoke(lease.id)
            except QuorateError:
                continue

    async def _keep(self, ttl: float, lease: SharedLease) -> None:
        """Renew until the lease is lost; a renewal that fails is tried again until then."""
        wait = lease.ttl / RENEWALS_PER_TTL
        try:
            while lease.proven and not lease.lost.is_set():
                try:
                    await asyncio.wait_for(lease.lost.wait(), min(wait, lease.remaining))
                except TimeoutError:
                    wait = await self._renew(lease)
                else:
                    return
        finally:
            lease.lost.set()
            if self._leases.get(ttl) is lease:
                del self._leases[ttl]

    async def _renew(self, lease: SharedLease) -> float:
        """Renew once; return how long to wait before the next time."""
        sent_at = self._clock.monotonic()
        try:
            async with asyncio.timeout(lease.remaining):
                ttl = await self._store.keep_alive(lease.id)
        except LeaseNotFound:
            lease.lost.set()
        except (QuorateError, TimeoutError):
            return RETRY_SECONDS
        else:
            lease.renewed(sent_at, ttl)
        return lease.ttl / RENEWALS_PER_TTL

"""A key of one's own among those of others: it says that one is there.

It stands on the client's lease, and goes with it. As long as the lease lives, others would take
a key that was left behind for somebody who is there, so its removal is tried until it is
certain, and comes after the writing that it undoes, whoever is cancelled meanwhile.
"""

from __future__ import annotations

import asyncio

from quorate.errors import LeaseNotFound, QuorateError
from quorate.recipes.claim import Workshop
from quorate.recipes.leases import RETRY_SECONDS, SharedLease


class OwnKey:
    """One key under `prefix`, written by this object alone."""

    def __init__(self, workshop: Workshop, prefix: bytes, ttl: float) -> None:
        self._store, self._keeper, self._turns, self._scope, _ = workshop
        self._prefix = prefix
        self._ttl = ttl
        self._lease: SharedLease | None = None
        self._putting: asyncio.Task[int | QuorateError] | None = None
        self.id: str = ""
        """What the key is called below the prefix; each writing has an id of its own."""

    @property
    def key(self) -> bytes:
        """The key that was written last."""
        return self._prefix + self.id.encode()

    @property
    def lease(self) -> int:
        """The lease that the key is on."""
        return self._lease.id if self._lease is not None else 0

    @property
    def proven(self) -> bool:
        """Whether it can be proven that the lease behind the key lives."""
        return self._lease is not None and self._lease.proven

    async def put(self, value: bytes) -> int:
        """Write it and return the revision; nothing stays behind when that fails.

        What was written before goes first: it would be taken for somebody else.
        """
        await self.remove()
        while True:
            lease = self._lease = await self._keeper.lease(self._ttl)
            self.id = f"{lease.id:x}-{self._turns.number():x}"
            putting = self._put(self.key, value, lease.id)
            self._putting = self._scope.spawn(putting, name="own-key-put")
            try:
                result = await asyncio.shield(self._putting)
            except BaseException:
                self.remove_later()
                raise
            if isinstance(result, int):
                return result
            if not isinstance(result, LeaseNotFound):
                self.remove_later()
                raise result
            lease.lost.set()

    async def remove(self) -> None:
        """Delete it. What this raises says that it is not known to be gone yet."""
        if self._putting is None:
            return
        try:
            await asyncio.shield(self._putting)
            await self._store.delete(self.key)
        except BaseException:
            self.remove_later()
            raise
        self._putting = None

    def remove_later(self) -> None:
        """Delete it while the caller goes on."""
        if self._putting is not None and self._lease is not None:
            removal = self._remove(self._putting, self.key, self._lease)
            self._scope.spawn(removal, name="own-key-remove")

    async def _put(self, key: bytes, value: bytes, lease: int) -> int | QuorateError:
        try:
            return await self._store.put(key, value, lease=lease)
        except QuorateError as error:
            return error

    async def _remove(
        self, putting: asyncio.Task[int | QuorateError], key: bytes, lease: SharedLease
    ) -> None:
        await asyncio.shield(putting)
        while True:
            try:
                await self._store.delete(key)
            except QuorateError:
                if not lease.proven:
                    return
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

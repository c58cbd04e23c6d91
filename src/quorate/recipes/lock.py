"""The distributed lock: first come first served, fenced, and felt when it is lost.

The key is `<name>/<lease in hex>`, so that etcd's own locks and these exclude each other on
one cluster. Whoever has the lowest create revision under `<name>/` holds the lock, and that
revision is the fencing token: it rises with every holder, over the cluster's whole life.
A waiter watches only the key before its own, so a release wakes one waiter.

Tasks of one client share its lease, hence its key: they take turns among themselves first.
"""

from __future__ import annotations

from quorate.errors import Compacted, LockLost
from quorate.recipes.claim import Claim, Place
from quorate.recipes.leases import SharedLease
from quorate.store.types import (
    Content,
    Direction,
    Range,
    RangeOrder,
    RangeResult,
    ReadConsistency,
    WatchRequest,
    prefix_end,
)


class Lock(Claim):
    """A named lock. `async with lock as held:` cancels the body when the lock is lost.

    A `Lock` object is used by one task at a time; make one per use. `ttl` (seconds) is how
    long others wait for a holder that died.
    """

    kind = "lock"

    def _key(self, lease: SharedLease) -> bytes:
        return self._prefix + b"%x" % lease.id

    def _is_enough(self, place: Place) -> bool:
        return not place.before

    async def _join(self, key: bytes, lease: SharedLease) -> Place:
        queued = await self._create(key, lease, self._newest(0))
        if queued.alone:
            return Place(queued.token, (), queued.revision)
        if queued.found is None:
            return await self._look(key, queued.token, queued.revision)
        return _place(queued.found, key, queued.token)

    async def _reach(self, key: bytes, place: Place) -> Place:
        while place.before:
            gone_at = await self._gone(place.before[0], place.revision)
            place = await self._look(key, place.token, gone_at)
        return place

    async def _look(self, key: bytes, token: int, revision: int) -> Place:
        """Look where one's own key stands, in the state at `revision` or a later one.

        What stood before one's own key and is gone never comes back, since create revisions
        only rise, so the state need not be the newest; that the own key is still there is
        what the lease proves. Raises LockLost when it is not.
        """
        query = self._newest(token)
        found = await self._store.range(query, consistency=ReadConsistency.STALE)
        if found.revision < revision:
            # After a failover the node that was asked may be behind the one that told.
            found = await self._store.range(query)
        return _place(found, key, token)

    def _newest(self, token: int) -> Range:
        """The last two of the queue, up to the one with this token (0: up to its end)."""
        return Range(
            start=self._prefix,
            end=prefix_end(self._prefix),
            limit=2,
            order=RangeOrder.CREATE_REVISION,
            direction=Direction.DESCENDING,
            content=Content.KEYS,
            max_create_revision=token,
        )

    async def _gone(self, key: bytes, revision: int) -> int:
        """Wait until a key that was there at `revision` is gone; return when it went."""
        watch = self._store.watch(WatchRequest(key, from_revision=revision + 1))
        try:
            async for batch in watch:
                if any(event.kind for event in batch.events):
                    return batch.revision
        except Compacted as error:
            # The waiter was away for longer than the history is kept: it looks again.
            return error.compact_revision
        finally:
            await watch.close()
        raise LockLost("the watch on the queue was closed")


def _place(found: RangeResult, key: bytes, token: int) -> Place:
    """Read one's place from the last two of the queue; raises LockLost when it is not there."""
    items = found.items
    if not items or items[0].key != key or items[0].create_revision != token:
        raise LockLost("the waiter's lease ended")
    return Place(token, tuple(item.key for item in items[1:]), found.revision)

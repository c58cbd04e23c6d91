"""Barriers: many wait for one, or for each other."""

from __future__ import annotations

from quorate.errors import InvalidRequest, LockLost
from quorate.recipes.changes import changed, everything, seen
from quorate.recipes.claim import DEFAULT_TTL_SECONDS, Workshop
from quorate.recipes.own_key import OwnKey
from quorate.store.compare import version
from quorate.store.types import Content, Delete, Put, Range, prefix_end


class Barrier:
    """Whoever comes waits while it is up. Everybody may raise and lift it."""

    def __init__(self, workshop: Workshop, name: str) -> None:
        if not name:
            raise InvalidRequest("a barrier needs a name")
        self._store = workshop.store
        self._key = f"{name}/barrier".encode()

    async def raise_(self) -> None:
        """Let everybody wait who comes from now on."""
        await self._store.put(self._key, b"")

    async def lift(self) -> None:
        """Let everybody go on."""
        await self._store.delete(self._key)

    async def wait(self) -> None:
        """Return once it is lifted, at once if it is not up."""
        while True:
            found, revision = await seen(self._store, self._key)
            if found is None:
                return
            await changed(self._store, self._key, None, revision)


class DoubleBarrier:
    """So many parties enter together and leave together. One object for each party.

    A name is for one meeting: a party that came back at once would be taken for one that has
    not left. A party that dies is no longer counted after its `ttl`, so that the others of a
    group that has entered can leave.
    """

    def __init__(
        self, workshop: Workshop, name: str, parties: int, *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> None:
        if not name:
            raise InvalidRequest("a barrier needs a name")
        if parties < 1:
            raise InvalidRequest(f"a barrier is for at least one party, not {parties}")
        self._store = workshop.store
        self._prefix = f"{name}/parties/".encode()
        self._ready = f"{name}/ready".encode()
        self._parties = parties
        self._own = OwnKey(workshop, self._prefix, ttl)

    async def enter(self) -> None:
        """Return once all parties are here.

        Raises LockLost when one's own lease ended meanwhile. Whoever did not enter, since that
        raised or was cancelled, is no longer counted, and may try again.
        """
        await self._own.put(b"")
        try:
            await self._gather()
        except BaseException:
            self._own.remove_later()
            raise

    async def leave(self) -> None:
        """Return once all parties have left."""
        await self._own.remove()
        while True:
            present, revision = await self._present()
            if not present:
                # Whoever sees the last one go leaves nothing behind.
                await self._store.commit(
                    when=[version(self._ready) > 0], then=[Delete(self._ready)]
                )
                return
            await changed(self._store, self._prefix, prefix_end(self._prefix), revision)

    async def _gather(self) -> None:
        while True:
            present, revision = await self._present()
            if self._own.key not in present:
                raise LockLost("this party's lease ended before the others came")
            if len(present) >= self._parties:
                await self._store.commit(
                    when=[version(self._ready) == 0], then=[Put(self._ready, b"")]
                )
                return
            if await self._store.get(self._ready) is not None:
                return
            await changed(self._store, self._prefix, prefix_end(self._prefix), revision)

    async def _present(self) -> tuple[frozenset[bytes], int]:
        """Return the keys of the parties that are here, and the revision."""
        query = Range(self._prefix, prefix_end(self._prefix), content=Content.KEYS)
        items, revision = await everything(self._store, query)
        return frozenset(item.key for item in items), revision

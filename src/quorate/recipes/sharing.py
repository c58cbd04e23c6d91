"""What several may hold at once: the semaphore, and the halves of the read-write lock.

All are fair: nobody overtakes who came before, so that a stream of readers never starves a
writer. A waiter reads the queue once, as it joins, and from then on only hears who leaves.
"""

from __future__ import annotations

from typing import ClassVar, Final

from quorate.errors import Compacted, InvalidRequest, LockError, LockLost
from quorate.recipes.changes import rest
from quorate.recipes.claim import DEFAULT_TTL_SECONDS, Claim, HeldLock, Place, Workshop
from quorate.recipes.leases import SharedLease
from quorate.runtime.owner import current_owner
from quorate.store.types import (
    Content,
    Event,
    EventKind,
    KeyValue,
    Range,
    RangeResult,
    WatchRequest,
    prefix_end,
)

SIZE: Final = b"!permits"
"""Beside the holders' keys, and before them in order: how many there may be, once resized."""
READER: Final = b"r-"
WRITER: Final = b"w-"


class SharedClaim(Claim):
    """A claim that counts with everybody who came before it, not with the last one alone."""

    part: ClassVar[bytes] = b""
    """What the names of this kind's keys begin with, under the common prefix."""
    _content: ClassVar[Content] = Content.KEYS

    def _key(self, lease: SharedLease) -> bytes:
        return self._prefix + self.part + b"%x-%x" % (lease.id, self._turns.number())

    async def _join(self, key: bytes, lease: SharedLease) -> Place:
        queued = await self._create(key, lease, self._everybody())
        if queued.alone:
            return Place(queued.token, (), queued.revision)
        return await self._place(key, queued.found or await self._store.range(self._everybody()))

    async def _reach(self, key: bytes, place: Place) -> Place:
        while not self._is_enough(place):
            place = await self._watch_queue(key, place)
        return place

    async def _watch_queue(self, key: bytes, place: Place) -> Place:
        """Follow the queue until the place is good enough, or the history is gone: look anew."""
        before = dict.fromkeys(place.before)
        request = WatchRequest(
            self._prefix, prefix_end(self._prefix), from_revision=place.revision + 1
        )
        watch = self._store.watch(request)
        try:
            async for batch in watch:
                for event in batch.events:
                    if event.kv.key == key and event.kind is EventKind.DELETE:
                        raise LockLost("the waiter's lease ended")
                    self._follow(event, before)
                place = Place(place.token, tuple(before), batch.revision)
                if self._is_enough(place):
                    return place
        except Compacted:
            return await self._place(key, await self._store.range(self._everybody()))
        finally:
            await watch.close()
        raise LockLost("the watch on the queue was closed")

    def _follow(self, event: Event, before: dict[bytes, None]) -> None:
        """Take note of one change in the queue."""
        if event.kind is EventKind.DELETE:
            before.pop(event.kv.key, None)

    async def _place(self, key: bytes, found: RangeResult) -> Place:
        """Read one's place from the whole queue; raises LockLost when it is not there."""
        items = await rest(self._store, self._everybody(), found)
        own = next((item for item in items if item.key == key), None)
        if own is None:
            raise LockLost("the waiter's lease ended")
        before = [item for item in items if item.create_revision < own.create_revision]
        return Place(own.create_revision, self._counted(before), found.revision)

    def _counted(self, before: list[KeyValue]) -> tuple[bytes, ...]:
        """Return the keys before one's own that count."""
        return tuple(item.key for item in before)

    def _everybody(self) -> Range:
        return Range(self._prefix, prefix_end(self._prefix), content=self._content)


class Semaphore(SharedClaim):
    """At most so many hold it at once. `permits` counts until somebody resizes it."""

    kind = "semaphore"
    _content = Content.FULL

    def __init__(
        self, workshop: Workshop, name: str, permits: int, *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> None:
        super().__init__(workshop, name, ttl=ttl)
        if permits < 1:
            raise InvalidRequest(f"a semaphore has at least one permit, not {permits}")
        self._permits = permits

    async def resize(self, permits: int) -> None:
        """Let so many hold it from now on, whatever each user's own number says.

        Nobody loses what it holds; those who are over the number just are not replaced.
        """
        if permits < 1:
            raise InvalidRequest(f"a semaphore has at least one permit, not {permits}")
        await self._store.put(self._prefix + SIZE, b"%d" % permits)

    def _is_enough(self, place: Place) -> bool:
        return len(place.before) < self._permits

    def _follow(self, event: Event, before: dict[bytes, None]) -> None:
        super()._follow(event, before)
        if event.kv.key == self._prefix + SIZE and event.kind is EventKind.PUT:
            self._permits = int(event.kv.value)

    async def _place(self, key: bytes, found: RangeResult) -> Place:
        for item in found.items[:1]:
            if item.key == self._prefix + SIZE:
                self._permits = int(item.value)
        return await super()._place(key, found)

    def _counted(self, before: list[KeyValue]) -> tuple[bytes, ...]:
        size = self._prefix + SIZE
        return tuple(item.key for item in before if item.key != size)


class ReadLock(SharedClaim):
    """Any number of readers hold it at once, and no writer."""

    kind = "read lock"
    part = READER

    def _hold(self, key: bytes, token: int, lease: SharedLease) -> HeldLock:
        self._turns.reads[key] = self._prefix, current_owner()
        return super()._hold(key, token, lease)

    async def release(self) -> None:
        """Give it back; only one's own, and only once."""
        if self._held is not None:
            self._turns.reads.pop(self._held.key, None)
        await super().release()

    def _is_enough(self, place: Place) -> bool:
        return not place.before

    def _counted(self, before: list[KeyValue]) -> tuple[bytes, ...]:
        writer = self._prefix + WRITER
        return tuple(item.key for item in before if item.key.startswith(writer))


class WriteLock(SharedClaim):
    """One writer holds it, and nobody else."""

    kind = "write lock"
    part = WRITER

    async def _join(self, key: bytes, lease: SharedLease) -> Place:
        if (self._prefix, current_owner()) in self._turns.reads.values():
            raise LockError(
                f"this task or thread holds the read lock of {self._name!r}: give it back before "
                "you ask for the write lock, or you wait for yourself"
            )
        return await super()._join(key, lease)

    def _is_enough(self, place: Place) -> bool:
        return not place.before

"""The queue: every element is worked on at least once, and finished exactly once.

An element is taken by a key beside it, attached to the taker's lease; that key's create
revision is the fencing token of the work. Finishing deletes both, and only if the taker's key
is still the one it made: whoever slept through its lease finds out, and another has it by then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from quorate.errors import InvalidRequest, LeaseNotFound, LockLost
from quorate.recipes.changes import changed
from quorate.recipes.claim import DEFAULT_TTL_SECONDS, Workshop
from quorate.recipes.leases import SharedLease
from quorate.store.compare import create_revision, version
from quorate.store.types import (
    Commit,
    CommitResult,
    Content,
    Delete,
    KeyValue,
    Put,
    Range,
    prefix_end,
)

LOOK: Final = 64
"""Elements that one look for a free one sees."""
TRIES: Final = 4
"""Free ones of which one commit takes the first that is still free."""
PRIORITIES: Final = range(256)


class Element:
    """An element in one's hands: its value, and the token of having it."""

    def __init__(self, value: bytes, token: int, lease: SharedLease) -> None:
        self.value = value
        self.token = token
        self._lease = lease

    @property
    def lost(self) -> bool:
        """Whether having it can no longer be proven: another may work on it."""
        return not self._lease.proven

    def check(self) -> None:
        """Raise LockLost unless having it can be proven at this moment."""
        if self.lost:
            raise LockLost(
                f"the element with token {self.token} can no longer be proven to be here: "
                "stop working on it, another may have it"
            )


class _Taken(NamedTuple):
    key: bytes
    element: Element


class Queue:
    """First in, first out; of several priorities the lowest number first."""

    def __init__(self, workshop: Workshop, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> None:
        if not name:
            raise InvalidRequest("a queue needs a name")
        self._store, self._keeper, *_ = workshop
        self._elements = f"{name}/elements/".encode()
        self._claims = f"{name}/claims/".encode()
        self._ttl = ttl

    async def put(self, value: bytes | str, *, priority: int = 128) -> None:
        """Add an element, behind all of its priority (0 to 255, 0 is taken first)."""
        if priority not in PRIORITIES:
            raise InvalidRequest(f"a priority is between 0 and 255, not {priority}")
        text = value.encode() if isinstance(value, str) else value
        await self._store.enqueue(self._elements + b"%02x/" % priority, text)

    async def size(self) -> int:
        """Return how many elements there are, those that are worked on included."""
        end = prefix_end(self._elements)
        found = await self._store.range(Range(self._elements, end, content=Content.COUNT))
        return found.count

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Element]:
        """Wait for an element and work on it in the body; leaving the body finishes it.

        A body that raises gives the element back, at its place. Raises LockLost at the end when
        another had it meanwhile, since this one's lease had ended: then nothing is finished.
        """
        taken = await self._take()
        try:
            yield taken.element
        except BaseException:
            await self._give_back(taken)
            raise
        await self._finish(taken)

    async def _take(self) -> _Taken:
        while True:
            lease = await self._keeper.lease(self._ttl)
            start, began = self._elements, 0
            while True:
                page = await self._store.range(Range(start, prefix_end(self._elements), limit=LOOK))
                began = began or page.revision
                taken = await self._first_free(page.items, lease)
                if taken is not None:
                    return taken
                if not page.more:
                    break
                start = page.items[-1].key + b"\x00"
            if not lease.proven:
                continue
            # A new element, or one that was given back since the first page was read.
            prefix = self._elements.removesuffix(b"elements/")
            await changed(self._store, prefix, prefix_end(prefix), began)

    async def _first_free(self, items: tuple[KeyValue, ...], lease: SharedLease) -> _Taken | None:
        if not items:
            return None
        first, last = self._claim_of(items[0].key), self._claim_of(items[-1].key)
        claims = await self._store.range(Range(first, last + b"\x00", content=Content.KEYS))
        claimed = {item.key for item in claims.items}
        free = [item for item in items if self._claim_of(item.key) not in claimed]
        able = self._store.capabilities
        several = TRIES if able.nested_commits and able.otherwise_branch else 1
        for start in range(0, len(free), several):
            tried = free[start : start + several]
            attempt = self._attempt(tried, lease)
            try:
                result: object = await self._store.commit(
                    when=attempt.when, then=attempt.then, otherwise=attempt.otherwise
                )
            except LeaseNotFound:
                lease.lost.set()
                return None
            for item in tried:
                assert isinstance(result, CommitResult)
                if result.succeeded:
                    return _Taken(item.key, Element(item.value, result.revision, lease))
                result = result.results[0] if result.results else None
        return None

    def _attempt(self, items: list[KeyValue], lease: SharedLease) -> Commit:
        """Return what takes the first of these that is still free.

        Many who look at once find the same ones free; one after the other they would lose each.
        """
        attempt: tuple[Commit, ...] = ()
        for item in reversed(items):
            claim = self._claim_of(item.key)
            still_free = version(claim) == 0, create_revision(item.key) == item.create_revision
            attempt = (Commit(still_free, (Put(claim, b"", lease.id),), attempt),)
        return attempt[0]

    async def _finish(self, taken: _Taken) -> None:
        claim, token = self._claim_of(taken.key), taken.element.token
        result = await self._store.commit(
            when=[create_revision(claim) == token], then=[Delete(claim), Delete(taken.key)]
        )
        if not result.succeeded:
            raise LockLost(
                f"the element with token {token} was not finished: its lease had ended, and "
                "another has it or had it since"
            )

    async def _give_back(self, taken: _Taken) -> None:
        claim = self._claim_of(taken.key)
        await self._store.commit(
            when=[create_revision(claim) == taken.element.token], then=[Delete(claim)]
        )

    def _claim_of(self, element: bytes) -> bytes:
        return self._claims + element.removeprefix(self._elements)

"""Numbers that many count on: the counter, the sequence of ids, the latch.

Each is one key that is changed only if it still is what was seen, so no count is ever lost.
A write of unknown outcome raises OutcomeUnknown: counting again might count twice.
"""

from __future__ import annotations

import asyncio
from typing import Final

from quorate.errors import InvalidRequest
from quorate.recipes.changes import changed, seen
from quorate.store.compare import mod_revision
from quorate.store.port import Store
from quorate.store.types import KeyValue, Put

BATCH: Final = 1000


class Counter:
    """A number that all share. It begins at 0, and may be negative."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._key = _key("counter", name)

    async def get(self) -> int:
        """Return the number."""
        found = await self._store.get(self._key)
        return int(found.value) if found is not None else 0

    async def add(self, amount: int = 1) -> int:
        """Add, and return what it came to."""
        found: KeyValue | None = await self._store.get(self._key)
        while True:
            number = (int(found.value) if found is not None else 0) + amount
            seen = found.mod_revision if found is not None else 0
            result = await self._store.commit(
                when=[mod_revision(self._key) == seen], then=[Put(self._key, b"%d" % number)]
            )
            if result.succeeded:
                return number
            found = await self._store.get(self._key)


class Sequence:
    """Ids that nobody else gets: rising for each client, taken from the cluster in batches.

    Ids of a batch that its client did not use are lost, so there are gaps.
    """

    def __init__(self, store: Store, name: str, *, batch: int = BATCH) -> None:
        if batch < 1:
            raise InvalidRequest(f"a batch has at least one id, not {batch}")
        self._end = Counter(store, f"sequence/{name}")
        self._batch = batch
        self._left = range(0)
        self._lock = asyncio.Lock()

    async def next(self) -> int:
        """Return an id; the first one is 1."""
        async with self._lock:
            if not self._left:
                end = await self._end.add(self._batch)
                self._left = range(end - self._batch + 1, end + 1)
            first = self._left[0]
            self._left = self._left[1:]
            return first


class Latch:
    """Opens once it was counted down so often, and stays open. The first user sets the count."""

    def __init__(self, store: Store, name: str, count: int) -> None:
        if count < 1:
            raise InvalidRequest(f"a latch counts down from at least 1, not {count}")
        self._store = store
        self._key = _key("latch", name)
        self._count = count

    async def count_down(self) -> int:
        """Count down once, and return how often it still must be."""
        found = await self._found()
        while True:
            left = max(int(found.value) - 1, 0)
            result = await self._store.commit(
                when=[mod_revision(self._key) == found.mod_revision],
                then=[Put(self._key, b"%d" % left)],
            )
            if result.succeeded:
                return left
            found = await self._found()

    async def wait(self) -> None:
        """Return once it is open."""
        while True:
            found, revision = await seen(self._store, self._key)
            if found is None:
                await self._found()
            elif found.value == b"0":
                return
            else:
                await changed(self._store, self._key, None, revision)

    async def _found(self) -> KeyValue:
        while True:
            found = await self._store.get(self._key)
            if found is not None:
                return found
            await self._store.commit(
                when=[mod_revision(self._key) == 0],
                then=[Put(self._key, b"%d" % self._count)],
            )


def _key(kind: str, name: str) -> bytes:
    if not name:
        raise InvalidRequest(f"a {kind} needs a name")
    return f"{name}/{kind}".encode()

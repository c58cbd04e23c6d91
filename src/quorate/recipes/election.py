"""Leader election: one of many leads, everybody can see who, and a leader feels its end.

An election is a lock with a value that all can read. A leader's token fences what it does, as
a lock's does; `async with` cancels the body of one that can no longer prove that it leads.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple

from quorate.errors import LockLost, LockNotHeld
from quorate.recipes.changes import changed
from quorate.recipes.lock import Lock
from quorate.store.compare import create_revision
from quorate.store.types import (
    Direction,
    Put,
    Range,
    RangeOrder,
    prefix_end,
)


class Leader(NamedTuple):
    """Who leads: the token of its time in office, and what it says of itself."""

    token: int
    value: bytes


class Election(Lock):
    """An election in which this client may stand, or which it only observes.

    `acquire` (or `async with`) campaigns, `release` resigns.
    """

    kind = "election"

    async def leader(self) -> Leader | None:
        """Return who leads now; None while nobody does."""
        found = await self._store.range(self._first())
        return Leader(found.items[0].create_revision, found.items[0].value) if found.items else None

    async def proclaim(self, value: bytes | str) -> None:
        """Say something else of oneself; only while leading. Raises LockNotHeld, LockLost."""
        held, lease = self._held, self._lease
        if held is None or lease is None:
            raise LockNotHeld(f"this object does not lead {self._name!r}")
        text = value.encode() if isinstance(value, str) else value
        result = await self._store.commit(
            when=[create_revision(held.key) == held.token], then=[Put(held.key, text, lease.id)]
        )
        if not result.succeeded:
            lease.lost.set()
            raise LockLost(f"{self._name!r} has another leader by now: stop leading")
        self._value = text

    async def observe(self) -> AsyncGenerator[Leader | None, None]:
        """Give the leader now, and each one to come; None while there is none.

        Of leaders that follow each other at once, only the last is sure to be given.
        """
        told: Leader | None = None
        first = True
        while True:
            found = await self._store.range(self._first())
            items = found.items
            current = Leader(items[0].create_revision, items[0].value) if items else None
            if first or current != told:
                first, told = False, current
                yield current
            await changed(self._store, self._prefix, prefix_end(self._prefix), found.revision)

    def _first(self) -> Range:
        return Range(
            self._prefix,
            prefix_end(self._prefix),
            limit=1,
            order=RangeOrder.CREATE_REVISION,
            direction=Direction.ASCENDING,
        )

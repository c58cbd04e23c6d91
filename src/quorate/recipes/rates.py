"""A rate limit that a whole fleet keeps together: a token bucket in one key.

The key holds one number, the time at which the bucket will be full again (the generic cell
rate algorithm, ITU-T I.371): taking tokens moves it on, and what it is ahead of now says how
long to wait. Times are the clients' wall clocks; two clocks that differ by a second let a second's
worth of tokens through once.
"""

from __future__ import annotations

import asyncio
from typing import Final

from quorate.errors import InvalidRequest, LockTimeout
from quorate.recipes.claim import Workshop
from quorate.store.compare import mod_revision
from quorate.store.types import Put

SECOND: Final = 1_000_000_000


class RateLimiter:
    """`rate` tokens a second on average, `burst` of them at once at most."""

    def __init__(self, workshop: Workshop, name: str, rate: float, burst: int = 1) -> None:
        if not name:
            raise InvalidRequest("a rate limiter needs a name")
        if rate <= 0 or burst < 1:
            raise InvalidRequest(
                f"a rate limiter has a rate above 0 and a burst of at least 1, not {rate}, {burst}"
            )
        self._store = workshop.store
        self._clock = workshop.clock
        self._key = f"{name}/rate".encode()
        self._interval = int(SECOND / rate)
        self._burst = burst

    async def try_acquire(self, tokens: int = 1) -> bool:
        """Take tokens if they are there now; tell whether."""
        return await self._take(tokens, 0) == 0

    async def acquire(self, tokens: int = 1, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  how long a turn may be away
        """Take tokens, and wait until they are there, in turn.

        Raises LockTimeout at once, and takes none, when that would be longer than `timeout`
        seconds.
        """
        patience = None if timeout is None else int(timeout * SECOND)
        wait = await self._take(tokens, patience)
        if wait < 0:
            raise LockTimeout(
                f"{tokens} tokens will not be there within {timeout} s: ask for fewer, or later"
            )
        await asyncio.sleep(wait / SECOND)

    async def _take(self, tokens: int, patience: int | None) -> int:
        """Take tokens and return the nanoseconds until they are there; -1: more than patience."""
        if not 1 <= tokens <= self._burst:
            raise InvalidRequest(f"at most {self._burst} tokens are there at once, not {tokens}")
        while True:
            found = await self._store.get(self._key)
            now = self._clock.wall()
            full_at = max(int(found.value), now) if found is not None else now
            full_at += tokens * self._interval
            wait = max(full_at - self._burst * self._interval - now, 0)
            if patience is not None and wait > patience:
                return -1
            seen = found.mod_revision if found is not None else 0
            result = await self._store.commit(
                when=[mod_revision(self._key) == seen], then=[Put(self._key, b"%d" % full_at)]
            )
            if result.succeeded:
                return wait

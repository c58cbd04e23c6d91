"""A seat among the members of a group: taken, given up, and taken again by itself.

What is under way in the store is never cancelled, only waited for, so that a removal comes
after the writing that it undoes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from quorate.errors import LeaseNotFound, LimitExceeded, QuorateError
from quorate.recipes.claim import Workshop
from quorate.recipes.instances import Document
from quorate.recipes.leases import RETRY_SECONDS, SharedLease

Result = TypeVar("Result")
logger: logging.Logger = logging.getLogger("quorate.registry")


class Seat:
    """One member's key, which nobody else writes."""

    def __init__(
        self,
        workshop: Workshop,
        prefix: bytes,
        ttl: float,
        lease: SharedLease,
        document: Document,
    ) -> None:
        self._store, self._keeper, turns, self._scope, _ = workshop
        self.id: str = f"{lease.id:x}-{turns.number():x}"
        self.document: Document = document
        self._key = prefix + self.id.encode()
        self._ttl = ttl
        self._lease = lease
        self._written = False
        self._shown_on: SharedLease | None = None
        """The lease on which it is known to be written."""
        self._wanted = True
        """Whether the check passed the last time."""
        self._ended = False
        self._busy = asyncio.Lock()
        self._keeping: asyncio.Task[None] | None = None

    @property
    def taken(self) -> bool:
        """Whether others see it, as far as can be proven."""
        return self._shown_on is self._lease and self._lease.proven

    async def begin(self, check: Callable[[], Awaitable[bool]] | None, interval: float) -> None:
        """Take the seat, if the check passes, and keep it in the background."""
        self._wanted = await self._passes(check, interval)
        try:
            error = await self._uncancelled(self._settle())
        except BaseException:
            self._give_up()
            raise
        if error is not None:
            self._give_up()
            raise error
        self._keeping = self._scope.spawn(self._keep(check, interval), name="registry-keep")

    async def say(self, change: Callable[[Document], Document]) -> None:
        """Write what `change` makes of the document, now or as soon as the seat is taken again."""
        error = await self._uncancelled(self._say(change))
        if error is not None:
            raise error

    async def end(self) -> None:
        """Leave the seat for good: as long as the lease lives, nothing else does it."""
        self._ended = True
        if self._keeping is not None:
            self._keeping.cancel()
        if self._lease.proven or self._busy.locked():
            await self._uncancelled(self._leave_for_good())

    def _give_up(self) -> None:
        """Leave while the caller goes on: it may be written although nobody said so."""
        self._ended = True
        self._scope.spawn(self._leave_for_good(), name="registry-leave")

    async def _keep(self, check: Callable[[], Awaitable[bool]] | None, interval: float) -> None:
        while True:
            await self._pause(None if check is None else interval)
            self._wanted = await self._passes(check, interval)
            error = await self._uncancelled(self._settle())
            if error is not None:
                logger.warning("the instance %s is tried until it succeeds: %s", self.id, error)
            while error is not None:
                await asyncio.sleep(RETRY_SECONDS)
                error = await self._uncancelled(self._settle())

    async def _pause(self, interval: float | None) -> None:
        """Return when the time of the next check has come, or the lease is lost."""
        # Whoever is withdrawn does not mind the loss of its lease.
        lost = self._lease.lost if self._wanted else asyncio.Event()
        try:
            async with asyncio.timeout(interval):
                await lost.wait()
        except TimeoutError:
            return

    async def _passes(self, check: Callable[[], Awaitable[bool]] | None, interval: float) -> bool:
        if check is None:
            return True
        try:
            async with asyncio.timeout(interval):
                return bool(await check())
        except Exception as error:
            # Told as it begins, and not every time.
            if self._wanted:
                logger.warning("the check of the instance %s failed", self.id, exc_info=error)
            return False

    async def _settle(self) -> QuorateError | None:
        """Take the seat or leave it, as is wanted; return what went wrong."""
        try:
            if self._wanted and not self.taken:
                await self._take()
            elif not self._wanted and self._written:
                await self._leave()
        except QuorateError as error:
            return error
        return None

    async def _say(self, change: Callable[[Document], Document]) -> QuorateError | None:
        async with self._busy:
            try:
                document = change(self.document)
                self._check_size(document)
                if self.taken:
                    await self._store.put(self._key, document.encoded(), lease=self._lease.id)
            except LeaseNotFound:
                # The seat is taken again, and says this then.
                self._lease.lost.set()
            except QuorateError as error:
                return error
            self.document = document
            return None

    def _check_size(self, document: Document) -> None:
        """Raise LimitExceeded; the store may say so only later, when nobody is there to hear it."""
        size, limit = len(document.encoded()), self._store.limits_value_bytes
        if size > limit:
            raise LimitExceeded(
                f"an instance says at most {limit} bytes of itself, not {size}: put the rest under "
                "a key of its own"
            )

    async def _take(self) -> None:
        async with self._busy:
            while not self._ended:
                self._lease = await self._keeper.lease(self._ttl)
                try:
                    await self._store.put(self._key, self.document.encoded(), lease=self._lease.id)
                except LeaseNotFound:
                    self._lease.lost.set()
                else:
                    self._written = True
                    self._shown_on = self._lease
                    return

    async def _leave(self) -> None:
        async with self._busy:
            await self._store.delete(self._key)
            self._written = False
            self._shown_on = None

    async def _leave_for_good(self) -> None:
        while True:
            try:
                return await self._leave()
            except QuorateError:
                if not self._lease.proven:
                    return None
            await asyncio.sleep(RETRY_SECONDS)

    async def _uncancelled(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for the work, which goes on when the waiting is cancelled."""
        return await asyncio.shield(self._scope.spawn(work, name="registry-seat"))

"""A lock that its owner may take again: a function can take what its caller has already.

The owner is a task or, in the blocking face, a thread; a child of that task is another. In the
store it is a plain lock, taken with the first hold and given back with the last, so that every
hold in between costs nothing and has the same token.
"""

from __future__ import annotations

from types import TracebackType

from quorate.errors import InvalidRequest, LockNotHeld
from quorate.recipes.claim import DEFAULT_TTL_SECONDS, HeldLock, Workshop
from quorate.recipes.lock import Lock
from quorate.runtime.owner import current_owner


class Holds(dict[tuple[str, object], "_CountedLock"]):
    """What the owners of one client hold, by the lock's name and the owner."""


class ReentrantLock:
    """A named lock that its owner may take several times, and gives back as often.

    All objects of one client and name are the same lock, for any number of tasks. `ttl`
    (seconds) is how long others wait for a holder that died; that of the first hold counts.
    """

    def __init__(
        self, workshop: Workshop, holds: Holds, name: str, *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> None:
        if not name:
            raise InvalidRequest("a re-entrant lock needs a name")
        if ttl <= 0:
            raise InvalidRequest(f"a ttl is a positive number of seconds, not {ttl}")
        self._workshop = workshop
        self._holds = holds
        self._name = name
        self._ttl = ttl

    @property
    def held(self) -> HeldLock | None:
        """What the calling task or thread holds now, or None."""
        counted = self._holds.get((self._name, current_owner()))
        return None if counted is None else counted.held

    async def acquire(self, *, timeout: float | None = None) -> HeldLock:  # noqa: ASYNC109  a deadline of the lock, with an error of its own
        """Wait for one's turn, unless the caller holds it already, and return what is held.

        Raises LockTimeout when the turn did not come within `timeout` seconds, and LockLost
        when the caller's hold is lost. `asyncio.wait_for` makes a task of its own of a call,
        which would be the owner: use `timeout`, or `async with asyncio.timeout(...)`.
        """
        counted = self._counted()
        held = await counted.acquire(timeout=timeout)
        self._keep(counted)
        return held

    async def try_acquire(self) -> HeldLock | None:
        """Take it if it is free now or the caller holds it; None when another does."""
        counted = self._counted()
        held = await counted.try_acquire()
        if held is not None:
            self._keep(counted)
        return held

    async def release(self) -> None:
        """Give one hold back; the last one frees the lock. Raises LockNotHeld to all others."""
        counted = self._owned()
        try:
            await counted.release()
        finally:
            self._drop(counted)

    async def __aenter__(self) -> HeldLock:
        counted = self._counted()
        held = await counted.__aenter__()
        self._keep(counted)
        return held

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        counted = self._owned()
        try:
            await counted.__aexit__(kind, error, trace)
        finally:
            self._drop(counted)

    def _counted(self) -> _CountedLock:
        """Return the caller's lock, a new one when it holds none."""
        owner = current_owner()
        counted = self._holds.get((self._name, owner))
        if counted is None:
            counted = _CountedLock(self._workshop, self._name, ttl=self._ttl)
            counted.owner = owner
        return counted

    def _owned(self) -> _CountedLock:
        counted = self._holds.get((self._name, current_owner()))
        if counted is None:
            raise LockNotHeld(
                f"this task or thread does not hold the re-entrant lock {self._name!r}: whoever "
                "took it gives it back"
            )
        return counted

    def _keep(self, counted: _CountedLock) -> None:
        self._holds[self._name, counted.owner] = counted

    def _drop(self, counted: _CountedLock) -> None:
        if not counted.times:
            self._holds.pop((self._name, counted.owner), None)


class _CountedLock(Lock):
    """The lock of one owner, taken once however often it is asked for."""

    kind = "re-entrant lock"
    owner: object = None
    times = 0
    """How many holds there are."""
    _bodies = 0
    """How many of them are bodies of an `async with`; the outermost is cancelled for all."""

    async def acquire(self, *, timeout: float | None = None) -> HeldLock:  # noqa: ASYNC109  as in Claim
        if self._held is not None:
            self._held.check()
        held = self._held or await super().acquire(timeout=timeout)
        self.times += 1
        return held

    async def try_acquire(self) -> HeldLock | None:
        if self._held is not None:
            self._held.check()
        held = self._held or await super().try_acquire()
        if held is not None:
            self.times += 1
        return held

    async def release(self) -> None:
        self.times -= 1
        if self.times:
            return
        if self._guard is not None:
            # Given back in the middle of a body, which has nothing to lose any more.
            self._guard.cancel()
        await super().release()

    async def __aenter__(self) -> HeldLock:
        held = await (self.acquire() if self._bodies else super().__aenter__())
        self._bodies += 1
        return held

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bodies -= 1
        if self._bodies:
            await self.release()
        else:
            await super().__aexit__(kind, error, trace)

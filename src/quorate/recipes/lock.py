"""The distributed lock: first come first served, fenced, and felt when it is lost.

The key is `<name>/<lease in hex>`, so that etcd's own locks and these exclude each other on
one cluster. Whoever has the lowest create revision under `<name>/` holds the lock, and that
revision is the fencing token: it rises with every holder, over the cluster's whole life.
A waiter watches only the key before its own, so a release wakes one waiter.

Tasks of one client share its lease, hence its key: they take turns among themselves first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Final, NamedTuple

from quorate.errors import (
    Compacted,
    InvalidRequest,
    LeaseNotFound,
    LockError,
    LockLost,
    LockNotHeld,
    LockTimeout,
    QuorateError,
)
from quorate.recipes.leases import RETRY_SECONDS, LeaseKeeper, SharedLease
from quorate.runtime.scope import TaskScope
from quorate.store.compare import create_revision
from quorate.store.port import Store
from quorate.store.types import (
    CommitResult,
    Content,
    Delete,
    Direction,
    Get,
    KeyValue,
    Put,
    Range,
    RangeOrder,
    RangeResult,
    ReadConsistency,
    WatchRequest,
    prefix_end,
)

DEFAULT_TTL_SECONDS: Final = 10.0


class HeldLock:
    """What a holder has in hand: the fencing token, and the news when the lock is lost."""

    def __init__(self, name: str, key: bytes, token: int, lease: SharedLease) -> None:
        self.name = name
        self.token = token
        self._key = key
        self._lease = lease

    @property
    def lost(self) -> bool:
        """Whether the lock can no longer be proven: another may hold it."""
        return not self._lease.proven

    @property
    def key(self) -> bytes:
        """The key that stands for the holder, for conditions in a commit of one's own."""
        return self._key

    @property
    def remaining(self) -> float:
        """How long the lock can still be trusted without a renewal, in seconds."""
        return self._lease.remaining

    def check(self) -> None:
        """Raise LockLost unless the lock can be proven at this moment."""
        if self.lost:
            raise LockLost(
                f"the lock {self.name!r} (token {self.token}) can no longer be proven: "
                "stop writing, another may hold it"
            )

    async def wait_lost(self) -> None:
        """Return when the lock can no longer be proven."""
        await self._lease.lost.wait()


class Place(NamedTuple):
    """Where a waiter stands: its token, and the key before its own (None: it is first)."""

    token: int
    before: bytes | None
    revision: int
    """The revision at which this was so."""


class Turns:
    """Who of one client's tasks may use its key for a lock: one at a time, in order."""

    def __init__(self) -> None:
        self._locks: dict[bytes, tuple[asyncio.Lock, int]] = {}

    async def enter(self, key: bytes) -> None:
        """Wait for one's turn."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._leave(key)
            raise

    def exit(self, key: bytes) -> None:
        """Let the next one have its turn."""
        self._locks[key][0].release()
        self._leave(key)

    def taken(self, key: bytes) -> bool:
        """Whether somebody has the turn now."""
        return key in self._locks and self._locks[key][0].locked()

    def _leave(self, key: bytes) -> None:
        lock, users = self._locks[key]
        if users == 1:
            del self._locks[key]
        else:
            self._locks[key] = (lock, users - 1)


class Lock:
    """A named lock. `async with lock as held:` cancels the body when the lock is lost.

    A `Lock` object is used by one task at a time; make one per use. `ttl` (seconds) is how
    long others wait for a holder that died.
    """

    def __init__(
        self,
        store: Store,
        keeper: LeaseKeeper,
        turns: Turns,
        scope: TaskScope,
        name: str,
        *,
        ttl: float = DEFAULT_TTL_SECONDS,
    ) -> None:
        if not name:
            raise InvalidRequest("a lock needs a name")
        if ttl <= 0:
            raise InvalidRequest(f"a lock's ttl is a positive number of seconds, not {ttl}")
        self._store = store
        self._keeper = keeper
        self._turns = turns
        self._scope = scope
        self._name = name
        self._prefix = name.encode() + b"/"
        self._ttl = ttl
        self._held: HeldLock | None = None
        self._lease: SharedLease | None = None
        self._queueing: asyncio.Task[CommitResult | QuorateError] | None = None
        self._owner: asyncio.Task[object] | None = None
        self._guard: asyncio.Task[None] | None = None
        self._cancelled_body = False

    @property
    def held(self) -> HeldLock | None:
        """What is held now, or None."""
        return self._held

    async def acquire(self, *, timeout: float | None = None) -> HeldLock:  # noqa: ASYNC109  a deadline of the lock, with an error of its own
        """Wait for the lock and return what is held.

        Raises LockTimeout when it was not free within `timeout` seconds; no waiter stays
        behind, also when the caller is cancelled.
        """
        if self._held is not None:
            raise LockError(f"this object holds {self._name!r} already: make one per use")
        try:
            async with asyncio.timeout(timeout):
                return await self._acquire()
        except TimeoutError as error:
            if isinstance(error, LockTimeout):
                raise
            raise LockTimeout(
                f"the lock {self._name!r} was not free within {timeout} s: "
                "wait longer, or find out who holds it"
            ) from error

    async def try_acquire(self) -> HeldLock | None:
        """Take the lock if it is free now, without waiting; None when it is not."""
        if self._held is not None:
            raise LockError(f"this object holds {self._name!r} already: make one per use")
        while True:
            lease = await self._keeper.lease(self._ttl)
            key = self._key(lease)
            if self._turns.taken(key):
                return None
            await self._turns.enter(key)
            try:
                place = await self._queue(key, lease)
                if place.before is None:
                    return self._hold(key, place.token, lease)
                await self._withdraw(key, place.token)
            except (LeaseNotFound, LockLost):
                lease.lost.set()
                self._give_up(key, lease)
            except BaseException:
                self._give_up(key, lease)
                raise
            else:
                self._turns.exit(key)
                return None

    async def release(self) -> None:
        """Give the lock back; only one's own, and only once.

        What it raises says that it is not known to be free yet; it becomes so in the
        background, or with the end of its lease.
        """
        held, self._held = self._held, None
        lease, self._lease = self._lease, None
        if held is None or lease is None:
            raise LockNotHeld(f"the lock {self._name!r} is not held by this object")
        if held.lost:
            # Nobody may be there to answer; the lease's end releases the lock anyhow.
            self._give_up(held.key, lease)
            return
        try:
            await self._withdraw(held.key, held.token)
        except BaseException:
            self._give_up(held.key, lease)
            raise
        self._turns.exit(held.key)

    async def __aenter__(self) -> HeldLock:
        held = await self.acquire()
        self._owner = asyncio.current_task()
        self._cancelled_body = False
        self._guard = self._scope.spawn(self._watch_over(held), name="lock-guard")
        return held

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        held, guard, owner = self._held, self._guard, self._owner
        self._guard = self._owner = None
        if guard is not None:
            guard.cancel()
        lost = self._cancelled_body
        if lost and owner is not None:
            owner.uncancel()
        if held is None:
            return
        try:
            await self.release()
        except QuorateError:
            # The lease ends by itself; what the body raised matters more.
            if error is None and not held.lost:
                raise
        if lost and (error is None or isinstance(error, asyncio.CancelledError)):
            raise LockLost(
                f"the lock {self._name!r} (token {held.token}) was lost while it was held: "
                "its body was cancelled, another may hold it"
            ) from error

    async def _watch_over(self, held: HeldLock) -> None:
        await held.wait_lost()
        if self._owner is not None and self._held is held:
            self._cancelled_body = True
            self._owner.cancel()

    async def _acquire(self) -> HeldLock:
        while True:
            lease = await self._keeper.lease(self._ttl)
            key = self._key(lease)
            await self._turns.enter(key)
            try:
                held = await self._acquire_with(key, lease)
            except BaseException:
                self._give_up(key, lease)
                raise
            if held is not None:
                return held
            self._turns.exit(key)

    async def _acquire_with(self, key: bytes, lease: SharedLease) -> HeldLock | None:
        """Queue, wait, and take the lock; None: the lease ended meanwhile, begin anew."""
        try:
            place = await self._queue(key, lease)
        except LeaseNotFound:
            lease.lost.set()
            return None
        try:
            while place.before is not None:
                gone_at = await self._gone(place.before, place.revision)
                place = await self._look(key, place.token, gone_at)
        except LockLost:
            return None
        if not lease.proven:
            return None
        return self._hold(key, place.token, lease)

    def _key(self, lease: SharedLease) -> bytes:
        return self._prefix + b"%x" % lease.id

    def _hold(self, key: bytes, token: int, lease: SharedLease) -> HeldLock:
        self._lease = lease
        self._held = HeldLock(self._name, key, token, lease)
        return self._held

    async def _queue(self, key: bytes, lease: SharedLease) -> Place:
        """Create the waiter's key; return its place in the queue."""
        commit = self._store.commit(
            when=[create_revision(key) == 0],
            then=[Put(key, b"", lease.id), self._newest(0)],
            otherwise=[Get(key)],
        )
        self._queueing = self._scope.spawn(_settled(commit), name="lock-queue")
        result = await asyncio.shield(self._queueing)
        if isinstance(result, QuorateError):
            raise result
        own = result.results[0]
        if isinstance(own, KeyValue):
            return await self._look(key, own.create_revision, result.revision)
        found = result.results[1]
        assert isinstance(found, RangeResult)
        return _place(found, key, found.items[0].create_revision)

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

    async def _withdraw(self, key: bytes, revision: int) -> None:
        """Delete one's own key, and never another's that has the same name by now."""
        await self._store.commit(when=[create_revision(key) == revision], then=[Delete(key)])

    def _give_up(self, key: bytes, lease: SharedLease) -> None:
        """Remove one's own waiter while the caller's own cancellation goes on.

        The turn ends only after that, so that the next task does not find the old key.
        """
        self._scope.spawn(self._forget(key, lease), name="lock-withdraw")

    async def _forget(self, key: bytes, lease: SharedLease) -> None:
        """Delete one's own key for certain: as long as the lease lives, nothing else does.

        A delete that is made while the key's creation is under way may be done before it.
        """
        try:
            if self._queueing is not None:
                await asyncio.shield(self._queueing)
            while True:
                if await self._deleted(key) or not lease.proven:
                    return
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._turns.exit(key)

    async def _deleted(self, key: bytes) -> bool:
        try:
            await self._store.delete(key)
        except QuorateError:
            return False
        return True


async def _settled(commit: Awaitable[CommitResult]) -> CommitResult | QuorateError:
    """Wait for the outcome, which is for whoever still wants to know it."""
    try:
        return await commit
    except QuorateError as error:
        return error


def _place(found: RangeResult, key: bytes, token: int) -> Place:
    """Read one's place from the last two of the queue; raises LockLost when it is not there."""
    items = found.items
    if not items or items[0].key != key or items[0].create_revision != token:
        raise LockLost("the waiter's lease ended")
    return Place(token, items[1].key if len(items) > 1 else None, found.revision)

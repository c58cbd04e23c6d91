"""A claim on something that only so many may have: waited for, held, felt when it is lost.

Whoever claims puts a key of its own under the claim's prefix, attached to its lease. Who has
it is told by the order of these keys' creation; the revision that created a key is its
fencing token. What differs from recipe to recipe is only when a place in that order is good
enough, and what a waiter watches meanwhile.
"""

from __future__ import annotations

import abc
import asyncio
import itertools
from collections.abc import Awaitable
from types import TracebackType
from typing import ClassVar, Final, NamedTuple

from quorate.errors import (
    InvalidRequest,
    LeaseNotFound,
    LockError,
    LockLost,
    LockNotHeld,
    LockTimeout,
    OutcomeUnknown,
    QuorateError,
)
from quorate.recipes.leases import RETRY_SECONDS, LeaseKeeper, SharedLease
from quorate.runtime.ports import Clock
from quorate.runtime.scope import TaskScope
from quorate.store.compare import create_revision
from quorate.store.port import Store
from quorate.store.types import (
    Commit,
    CommitResult,
    Compare,
    CompareOperator,
    CompareTarget,
    Delete,
    Get,
    KeyValue,
    Put,
    Range,
    RangeResult,
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
    """Where a waiter stands: its token, and the keys before its own that count for it."""

    token: int
    before: tuple[bytes, ...]
    revision: int
    """The revision at which this was so."""


class Queued(NamedTuple):
    """A key that was created, and the queue as it was then (None: look anew)."""

    token: int
    revision: int
    found: RangeResult | None
    alone: bool = False
    """Whether nobody else had a key there."""


class Turns:
    """Who of one client's tasks may use its key for a lock: one at a time, in order."""

    def __init__(self) -> None:
        self._locks: dict[bytes, tuple[asyncio.Lock, int]] = {}
        self._numbers = itertools.count(1)
        self.reads: dict[bytes, tuple[bytes, object]] = {}
        """For each read lock that is held, by its key: what it locks, and its owner."""

    def number(self) -> int:
        """Return a number that no other claim of this client has."""
        return next(self._numbers)

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


class Workshop(NamedTuple):
    """What all claims of one client share."""

    store: Store
    keeper: LeaseKeeper
    turns: Turns
    scope: TaskScope
    clock: Clock


class Claim(abc.ABC):
    """One claim. `async with` cancels the body when the claim is lost.

    An object is used by one task at a time; make one per use. `ttl` (seconds) is how long
    others wait for a holder that died.
    """

    kind: ClassVar[str]
    """What it is called in messages."""

    def __init__(
        self, workshop: Workshop, name: str, *, ttl: float = DEFAULT_TTL_SECONDS, value: bytes = b""
    ) -> None:
        if not name:
            raise InvalidRequest(f"a {self.kind} needs a name")
        if ttl <= 0:
            raise InvalidRequest(f"a ttl is a positive number of seconds, not {ttl}")
        self._store, self._keeper, self._turns, self._scope, _ = workshop
        self._name = name
        self._prefix = name.encode() + b"/"
        self._ttl = ttl
        self._value = value
        self._held: HeldLock | None = None
        self._lease: SharedLease | None = None
        self._queueing: asyncio.Task[Queued | QuorateError] | None = None
        self._owner: asyncio.Task[object] | None = None
        self._guard: asyncio.Task[None] | None = None
        self._cancelled_body = False

    @abc.abstractmethod
    def _key(self, lease: SharedLease) -> bytes:
        """Return the key of this claim."""

    @abc.abstractmethod
    async def _join(self, key: bytes, lease: SharedLease) -> Place:
        """Create the key; return its place. Raises LeaseNotFound, LockLost."""

    @abc.abstractmethod
    async def _reach(self, key: bytes, place: Place) -> Place:
        """Wait until the place is good enough; raises LockLost when the key is gone."""

    @abc.abstractmethod
    def _is_enough(self, place: Place) -> bool:
        """Whether a place is good enough."""

    @property
    def held(self) -> HeldLock | None:
        """What is held now, or None."""
        return self._held

    async def acquire(self, *, timeout: float | None = None) -> HeldLock:  # noqa: ASYNC109  a deadline of the claim, with an error of its own
        """Wait for one's turn and return what is held.

        Raises LockTimeout when it did not come within `timeout` seconds; no waiter stays
        behind, also when the caller is cancelled.
        """
        self._check_free()
        if timeout is None:
            return await self._acquire()
        try:
            async with asyncio.timeout(timeout):
                return await self._acquire()
        except TimeoutError as error:
            if isinstance(error, LockTimeout):
                raise
            raise LockTimeout(
                f"the {self.kind} {self._name!r} was not free within {timeout} s: "
                "wait longer, or find out who holds it"
            ) from error

    async def try_acquire(self) -> HeldLock | None:
        """Take it if it is free now, without waiting; None when it is not."""
        self._check_free()
        while True:
            lease = await self._keeper.lease(self._ttl)
            key = self._key(lease)
            if self._turns.taken(key):
                return None
            await self._turns.enter(key)
            try:
                place = await self._join(key, lease)
                if self._is_enough(place):
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
        """Give it back; only one's own, and only once.

        What it raises says that it is not known to be free yet; it becomes so in the
        background, or with the end of its lease.
        """
        held, self._held = self._held, None
        lease, self._lease = self._lease, None
        if held is None or lease is None:
            raise LockNotHeld(f"the {self.kind} {self._name!r} is not held by this object")
        if held.lost:
            # Nobody may be there to answer; the lease's end releases it anyhow.
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
        self._guard = self._scope.spawn(self._watch_over(held), name="claim-guard")
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
                f"the {self.kind} {self._name!r} (token {held.token}) was lost while it was held: "
                "its body was cancelled, another may hold it"
            ) from error

    async def _watch_over(self, held: HeldLock) -> None:
        await held.wait_lost()
        if self._owner is not None and self._held is held:
            self._cancelled_body = True
            self._owner.cancel()

    def _check_free(self) -> None:
        if self._held is not None:
            raise LockError(
                f"this object holds the {self.kind} {self._name!r} already: make one per use"
            )

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
        """Queue, wait, and take it; None: the lease ended meanwhile, begin anew."""
        try:
            place = await self._join(key, lease)
        except LeaseNotFound:
            lease.lost.set()
            return None
        try:
            place = await self._reach(key, place)
        except LockLost:
            return None
        if not lease.proven:
            return None
        return self._hold(key, place.token, lease)

    def _hold(self, key: bytes, token: int, lease: SharedLease) -> HeldLock:
        self._lease = lease
        self._held = HeldLock(self._name, key, token, lease)
        return self._held

    async def _create(self, key: bytes, lease: SharedLease, look: Range) -> Queued:
        """Create the key, and look at the queue in the same step if the engine can.

        The creation goes on when the caller is cancelled, so that the removal can wait for it.
        """
        creation = self._queue(key, lease, look)
        self._queueing = self._scope.spawn(_settled(creation), name="claim-queue")
        result = await asyncio.shield(self._queueing)
        if isinstance(result, QuorateError):
            raise result
        return result

    async def _queue(self, key: bytes, lease: SharedLease, look: Range) -> Queued:
        able = self._store.capabilities
        in_one_step = able.nested_commits and able.reads_in_commits and able.range_compare
        attempt = self._queue_and_look if in_one_step else self._queue_first
        put = Put(key, self._value, lease.id)
        while True:
            try:
                queued = await attempt(put, look)
            except OutcomeUnknown:
                # Nobody else makes this key: if it is there by now, it is found.
                if not lease.proven:
                    raise
                continue
            if queued is not None:
                return queued

    async def _queue_and_look(self, put: Put, look: Range) -> Queued | None:
        """Queue, and look only if there is anybody to see."""
        # One's own key may be there already, from a try whose outcome was not known.
        behind = Commit((create_revision(put.key) == 0,), (put,))
        result = await self._store.commit(
            when=[_nobody(self._prefix)], then=[put], otherwise=[behind, Get(put.key), look]
        )
        if result.succeeded:
            return Queued(result.revision, result.revision, None, alone=True)
        queued, own, found = result.results
        assert isinstance(queued, CommitResult)
        assert isinstance(own, KeyValue)
        assert isinstance(found, RangeResult)
        return Queued(own.create_revision, result.revision, found if queued.succeeded else None)

    async def _queue_first(self, put: Put, _look: Range) -> Queued | None:
        """Queue; who is before one, a look of its own must tell."""
        result = await self._store.commit(when=[create_revision(put.key) == 0], then=[put])
        if result.succeeded:
            return Queued(result.revision, result.revision, None)
        own = await self._store.get(put.key)
        return None if own is None else Queued(own.create_revision, result.revision, None)

    async def _withdraw(self, key: bytes, revision: int) -> None:
        """Delete one's own key, and never another's that has the same name by now."""
        await self._store.commit(when=[create_revision(key) == revision], then=[Delete(key)])

    def _give_up(self, key: bytes, lease: SharedLease) -> None:
        """Remove one's own waiter while the caller's own cancellation goes on.

        The turn ends only after that, so that the next task does not find the old key.
        """
        self._scope.spawn(self._forget(key, lease), name="claim-withdraw")

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


def _nobody(prefix: bytes) -> Compare:
    """The condition that no key begins with a prefix."""
    return Compare(prefix, CompareTarget.VERSION, CompareOperator.EQUAL, 0, end=prefix_end(prefix))


async def _settled(creation: Awaitable[Queued]) -> Queued | QuorateError:
    """Wait for the outcome, which is for whoever still wants to know it."""
    try:
        return await creation
    except QuorateError as error:
        return error

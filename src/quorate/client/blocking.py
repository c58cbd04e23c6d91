"""The recipes for threads: each call goes through the client's portal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Generic

from quorate.client.portal import Portal, each, entered
from quorate.errors import LockLost
from quorate.recipes.barriers import Barrier, DoubleBarrier
from quorate.recipes.claim import Claim, HeldLock
from quorate.recipes.config import Config, Value, Version
from quorate.recipes.counting import Counter, Latch, Sequence
from quorate.recipes.election import Election, Leader
from quorate.recipes.groups import Group, Member, MemberChange, Membership, View
from quorate.recipes.queues import Element, Queue
from quorate.recipes.rates import RateLimiter
from quorate.recipes.reentrant import ReentrantLock
from quorate.recipes.sharing import Semaphore


class SyncClaim:
    """A lock or its like, blocking. No thread can be cancelled: look at `held.lost`."""

    def __init__(self, portal: Portal, lock: Claim | ReentrantLock) -> None:
        self._portal = portal
        self._lock = lock

    def acquire(self, *, timeout: float | None = None) -> HeldLock:
        """Wait for the lock; raises LockTimeout when it was not free within `timeout` seconds."""
        return self._portal.call(lambda: self._lock.acquire(timeout=timeout))

    def try_acquire(self) -> HeldLock | None:
        """Take the lock if it is free now; None when it is not."""
        return self._portal.call(self._lock.try_acquire)

    def release(self) -> None:
        """Give the lock back."""
        self._portal.call(self._lock.release)

    def __enter__(self) -> HeldLock:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        held = self._lock.held
        self.release()
        if held is not None and held.lost and error is None:
            raise LockLost(
                f"the lock {held.name!r} (token {held.token}) was lost while it was held: "
                "what the body did last may have met another holder"
            )


class SyncSemaphore(SyncClaim):
    """A semaphore, blocking."""

    def __init__(self, portal: Portal, semaphore: Semaphore) -> None:
        super().__init__(portal, semaphore)
        self._semaphore = semaphore

    def resize(self, permits: int) -> None:
        """Let so many hold it from now on, whatever each user's own number says."""
        self._portal.call(lambda: self._semaphore.resize(permits))


class SyncElection(SyncClaim):
    """An election, blocking."""

    def __init__(self, portal: Portal, election: Election) -> None:
        super().__init__(portal, election)
        self._election = election

    def leader(self) -> Leader | None:
        """Return who leads now; None while nobody does."""
        return self._portal.call(self._election.leader)

    def proclaim(self, value: bytes | str) -> None:
        """Say something else of oneself; only while leading."""
        self._portal.call(lambda: self._election.proclaim(value))

    def observe(self) -> Iterator[Leader | None]:
        """Give the leader now, and each one to come; None while there is none."""
        return each(self._portal, self._election.observe())


class SyncCounter:
    """A number that all share, blocking."""

    def __init__(self, portal: Portal, counter: Counter) -> None:
        self._portal = portal
        self._counter = counter

    def get(self) -> int:
        """Return the number."""
        return self._portal.call(self._counter.get)

    def add(self, amount: int = 1) -> int:
        """Add, and return what it came to."""
        return self._portal.call(lambda: self._counter.add(amount))


class SyncSequence:
    """Ids that nobody else gets, blocking."""

    def __init__(self, portal: Portal, sequence: Sequence) -> None:
        self._portal = portal
        self._sequence = sequence

    def next(self) -> int:
        """Return an id; the first one is 1."""
        return self._portal.call(self._sequence.next)


class SyncLatch:
    """A latch, blocking."""

    def __init__(self, portal: Portal, latch: Latch) -> None:
        self._portal = portal
        self._latch = latch

    def count_down(self) -> int:
        """Count down once, and return how often it still must be."""
        return self._portal.call(self._latch.count_down)

    def wait(self) -> None:
        """Return once it is open."""
        self._portal.call(self._latch.wait)


class SyncBarrier:
    """A barrier, blocking."""

    def __init__(self, portal: Portal, barrier: Barrier) -> None:
        self._portal = portal
        self._barrier = barrier

    def raise_(self) -> None:
        """Let everybody wait who comes from now on."""
        self._portal.call(self._barrier.raise_)

    def lift(self) -> None:
        """Let everybody go on."""
        self._portal.call(self._barrier.lift)

    def wait(self) -> None:
        """Return once it is lifted, at once if it is not up."""
        self._portal.call(self._barrier.wait)


class SyncDoubleBarrier:
    """One party's part in a meeting, blocking."""

    def __init__(self, portal: Portal, barrier: DoubleBarrier) -> None:
        self._portal = portal
        self._barrier = barrier

    def enter(self) -> None:
        """Return once all parties are here."""
        self._portal.call(self._barrier.enter)

    def leave(self) -> None:
        """Return once all parties have left."""
        self._portal.call(self._barrier.leave)


class SyncQueue:
    """A queue, blocking."""

    def __init__(self, portal: Portal, queue: Queue) -> None:
        self._portal = portal
        self._queue = queue

    def put(self, value: bytes | str, *, priority: int = 128) -> None:
        """Add an element, behind all of its priority (0 to 255, 0 is taken first)."""
        self._portal.call(lambda: self._queue.put(value, priority=priority))

    def size(self) -> int:
        """Return how many elements there are, those that are worked on included."""
        return self._portal.call(self._queue.size)

    @contextmanager
    def take(self) -> Iterator[Element]:
        """Wait for an element and work on it in the body; leaving the body finishes it."""
        with entered(self._portal, self._queue.take()) as element:
            yield element


class SyncMembership:
    """One's own place in a group, blocking."""

    def __init__(self, portal: Portal, membership: Membership) -> None:
        self._portal = portal
        self._membership = membership
        self.id: str = membership.id

    @property
    def lost(self) -> bool:
        """Whether the membership can no longer be proven: others may not see it any more."""
        return self._membership.lost

    def update(self, data: bytes | str) -> None:
        """Say something else of oneself. Raises LockLost when the membership has ended."""
        self._portal.call(lambda: self._membership.update(data))


class SyncGroup:
    """A group, blocking."""

    def __init__(self, portal: Portal, group: Group) -> None:
        self._portal = portal
        self._group = group

    @contextmanager
    def join(self, data: bytes | str = b"") -> Iterator[SyncMembership]:
        """Be a member while the body runs."""
        with entered(self._portal, self._group.join(data)) as membership:
            yield SyncMembership(self._portal, membership)

    def members(self) -> list[Member]:
        """Return who is there, by id."""
        return self._portal.call(self._group.members)

    def changes(self) -> Iterator[MemberChange]:
        """Give everybody who is there as joined, then each change to come."""
        return each(self._portal, self._group.changes())

    @contextmanager
    def view(self) -> Iterator[View]:
        """A view of the group for the body, complete from its beginning."""
        with entered(self._portal, self._group.view()) as view:
            yield view


class SyncRateLimiter:
    """A rate limit for all together, blocking."""

    def __init__(self, portal: Portal, limiter: RateLimiter) -> None:
        self._portal = portal
        self._limiter = limiter

    def try_acquire(self, tokens: int = 1) -> bool:
        """Take tokens if they are there now; tell whether."""
        return self._portal.call(lambda: self._limiter.try_acquire(tokens))

    def acquire(self, tokens: int = 1, *, timeout: float | None = None) -> None:
        """Take tokens, and wait until they are there, in turn."""
        self._portal.call(lambda: self._limiter.acquire(tokens, timeout=timeout))


class SyncConfig(Generic[Value]):
    """A configuration that all share, blocking."""

    def __init__(self, portal: Portal, config: Config[Value]) -> None:
        self._portal = portal
        self._config = config

    def get(self) -> Version[Value]:
        """Return what counts now."""
        return self._portal.call(self._config.get)

    def at(self, revision: int) -> Version[Value]:
        """Return what counted at a past revision."""
        return self._portal.call(lambda: self._config.at(revision))

    def set(self, value: Value) -> int:
        """Write, whatever is there, and return the revision."""
        return self._portal.call(lambda: self._config.set(value))

    def update(self, change: Callable[[Value], Value]) -> Version[Value]:
        """Write what `change` makes of what is there; it is called in the client's thread."""
        return self._portal.call(lambda: self._config.update(change))

    def roll_back(self, revision: int) -> Version[Value]:
        """Write again what counted at a past revision."""
        return self._portal.call(lambda: self._config.roll_back(revision))

    def changes(self) -> Iterator[Version[Value]]:
        """Give what counts now, and each version to come; of several at once the last."""
        return each(self._portal, self._config.changes())

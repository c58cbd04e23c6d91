"""What the clients of a simulated cluster do, with the client library that users have.

Each habit is a coroutine that runs until its client dies or the run ends, and writes down
what it asked for and what it learnt. An error is a finding only where the library promised
better; here it is an outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from random import Random
from typing import Final, TypeAlias

from quorate.client.asynchronous import AsyncClient
from quorate.errors import (
    Compacted,
    LockError,
    OutcomeUnknown,
    QuorateError,
    Unavailable,
)
from quorate.simulation.evidence import (
    CallLog,
    Evidence,
    HoldLog,
    LeaseLog,
    Operation,
    OperationKind,
    Outcome,
    SeenEvent,
    WatchLog,
)
from quorate.simulation.process import Process
from quorate.simulation.scheduler import SECOND, Scheduler
from quorate.store.compare import mod_revision
from quorate.store.types import (
    CommitResult,
    EventKind,
    Put,
    Range,
    WatchDetail,
    WatchRequest,
    prefix_end,
)

KEYS: Final = tuple(b"k/%d" % number for number in range(5))
LOCKS: Final = ("locks/a", "locks/b")
PREFIX: Final = b"k/"
TROUBLE: Final = (LockError, Unavailable, OutcomeUnknown, TimeoutError)
"""What every caller of a recipe has to live with; any other error is a finding."""


class Habits:
    """Everything that a client's habits need of the world."""

    def __init__(
        self,
        scheduler: Scheduler,
        evidence: Evidence,
        operations_max: int,
        until: int,
        connect: Callable[[str], AsyncClient],
    ) -> None:
        self.connect = connect
        """Opens one more connection for the client of this name."""
        self.processes: dict[str, Process] = {}
        """The newest process of each client, where it is a simulated one."""
        self.holding: dict[str, dict[str, list[str]]] = {}
        """What each client holds of a recipe at this moment, by the recipe and its own name."""
        self.pending: dict[str, Callable[[], str]] = {}
        """What each client still waits for, by its name, in words: nothing, once all is well."""
        self.scheduler = scheduler
        self.evidence = evidence
        self.until = until
        self.shared: list[LeaseLog] = []
        """Leases that others may renew and revoke too."""
        self._left = operations_max
        self._values = 0

    def go_on(self) -> bool:
        """Whether clients should ask for more."""
        return self.scheduler.now < self.until and self._left > 0

    def value(self) -> bytes:
        """Return a value that is written once in the whole run."""
        self._values += 1
        return b"v%d" % self._values

    def begin(
        self, client: str, kind: OperationKind, key: bytes, value: bytes = b"", expected: int = 0
    ) -> Operation:
        """Note a call."""
        self._left -= 1
        operation = Operation(client, kind, key, value, expected, self.scheduler.now)
        self.evidence.operations.append(operation)
        return operation

    def end(self, operation: Operation, outcome: Outcome) -> None:
        """Note what the caller learnt."""
        operation.returned = self.scheduler.now
        operation.outcome = outcome

    @contextmanager
    def calling(self, client: str, recipe: str, verb: str) -> Iterator[CallLog]:
        """Note a call of a recipe, and what its caller learns from how the body ends."""
        self._left -= 1
        call = CallLog(client, recipe, verb, self.scheduler.now)
        self.evidence.calls.append(call)
        try:
            yield call
        except OutcomeUnknown:
            raise
        except QuorateError:
            call.returned, call.outcome = self.scheduler.now, Outcome.FAILED
            raise
        call.returned, call.outcome = self.scheduler.now, Outcome.OK


async def put(habits: Habits, client: AsyncClient, name: str, key: bytes) -> int:
    """Put a fresh value and note what came of it; raises what the client raises."""
    operation = habits.begin(name, OperationKind.PUT, key, habits.value())
    try:
        operation.revision = await client.kv.put(key, operation.value)
    except OutcomeUnknown:
        habits.end(operation, Outcome.UNKNOWN)
        raise
    except QuorateError:
        habits.end(operation, Outcome.FAILED)
        raise
    habits.end(operation, Outcome.OK)
    return operation.revision


class _Register:
    """One client's calls on a few keys, and the mod revisions that it last saw of each."""

    def __init__(self, habits: Habits, client: AsyncClient, name: str) -> None:
        self._habits = habits
        self._client = client
        self._name = name
        self._seen: dict[bytes, int] = {}

    async def put(self, key: bytes) -> None:
        with suppress(QuorateError):
            self._seen[key] = await put(self._habits, self._client, self._name, key)

    async def get(self, key: bytes) -> None:
        operation = self._habits.begin(self._name, OperationKind.GET, key)
        async with self._noting(operation):
            found = await self._client.kv.get(key)
            if found is not None:
                operation.found, operation.revision = found.value, found.mod_revision
            self._seen[key] = operation.revision

    async def delete(self, key: bytes) -> None:
        operation = self._habits.begin(self._name, OperationKind.DELETE, key)
        async with self._noting(operation):
            result = await self._client.kv.delete(key)
            operation.succeeded, operation.revision = bool(result.deleted), result.revision

    async def swap(self, key: bytes) -> None:
        expected = self._seen.get(key, 0)
        value = self._habits.value()
        operation = self._habits.begin(self._name, OperationKind.SWAP, key, value, expected)
        async with self._noting(operation):
            result: CommitResult = await self._client.kv.commit(
                when=[mod_revision(key) == expected], then=[Put(key, value)]
            )
            operation.succeeded, operation.revision = result.succeeded, result.revision

    @asynccontextmanager
    async def _noting(self, operation: Operation) -> AsyncIterator[None]:
        try:
            yield
        except OutcomeUnknown:
            self._habits.end(operation, Outcome.UNKNOWN)
        except QuorateError:
            self._habits.end(operation, Outcome.FAILED)
        else:
            self._habits.end(operation, Outcome.OK)


async def register(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Put, get, delete and swap a few keys."""
    keys = _Register(habits, client, name)
    calls = (keys.put, keys.put, keys.get, keys.get, keys.swap, keys.delete)
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(4.0))
        burst = 1 if chance.random() < 0.9 else 4
        await asyncio.gather(*(chance.choice(calls)(chance.choice(KEYS)) for _ in range(burst)))


async def locker(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Take a lock, use what it guards, and give it back; sometimes lose patience."""
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(1.0))
        lock_name = chance.choice(LOCKS)
        try:
            async with asyncio.timeout(chance.choice((0.3, 3.0, 20.0))):
                async with client.lock(lock_name, ttl=chance.choice((1.5, 3.0))) as held:
                    hold = HoldLog(name, lock_name, held.token, held.key, [])
                    habits.evidence.holds.append(hold)
                    for _ in range(chance.choice((1, 2, 3, 30))):
                        held.check()
                        hold.accesses.append(habits.scheduler.now)
                        await asyncio.sleep(chance.expovariate(5.0))
        except (LockError, Unavailable, OutcomeUnknown, TimeoutError):
            continue


async def leaseholder(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Hang a key on a lease, renew it for a while, then let go without a word."""
    number = 0
    while habits.go_on():
        number += 1
        await asyncio.sleep(chance.expovariate(0.5))
        key = b"leased/%s/%d" % (name.encode(), number)
        sent = habits.scheduler.now
        try:
            grant = await client.kv.grant(chance.choice((1.0, 2.0, 3.0)))
            log = LeaseLog(grant.id, key, int(grant.ttl * SECOND), sent)
            log.key_put = await client.kv.put(key, habits.value(), lease=grant.id)
        except QuorateError:
            continue
        habits.evidence.leases.append(log)
        habits.shared.append(log)
        for _ in range(chance.randrange(8)):
            await asyncio.sleep(grant.ttl * chance.uniform(0.1, 0.5))
            if not await _renew(habits, client, name, log):
                break
        if chance.random() < 0.2:
            await _revoke(client, log)


async def _renew(habits: Habits, client: AsyncClient, name: str, log: LeaseLog) -> bool:
    """Renew a lease once; tell whether that is known to have gone well."""
    sent = habits.scheduler.now
    try:
        await client.kv.keep_alive(log.lease)
    except QuorateError:
        return False
    else:
        log.proven_from = max(log.proven_from, sent)
        log.renewals.append((sent, name))
        return True
    finally:
        log.tried_until = habits.scheduler.now


async def _revoke(client: AsyncClient, log: LeaseLog) -> None:
    log.revoked = True
    with suppress(QuorateError):
        await client.kv.revoke(log.lease)


async def renewer(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Renew the newest of the others' leases, so long as they let it."""
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(5.0))
        if habits.shared:
            await _renew(habits, client, name, habits.shared[-1])


async def visitor(habits: Habits, _client: AsyncClient, name: str, chance: Random) -> None:
    """Do one thing with a connection of its own, then leave, as a command of a shell does.

    It meets the newest leader, while others still talk to the one before.
    """
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(3.0))
        async with habits.connect(name) as fresh:
            keys = _Register(habits, fresh, name)
            if habits.shared and chance.random() < 0.4:
                await _revoke(fresh, habits.shared[-1])
            else:
                await chance.choice((keys.put, keys.get))(chance.choice(KEYS))


async def watcher(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Watch a prefix from now on, or from a while ago, and write down every event."""
    while True:
        try:
            query = Range(PREFIX, prefix_end(PREFIX), limit=1)
            now = (await client.store.range(query)).revision
        except QuorateError:
            await asyncio.sleep(0.5)
            continue
        start = max(1, now + 1 - chance.choice((0, 0, 5, 50)))
        previous = chance.random() < 0.5
        detail = WatchDetail.PREVIOUS if previous else WatchDetail.EVENT
        log = WatchLog(name, start, PREFIX, previous)
        log.reached = start - 1
        habits.evidence.watches.append(log)
        watch = client.store.watch(WatchRequest(PREFIX, prefix_end(PREFIX), start, detail))
        try:
            async for batch in watch:
                log.events.extend(
                    SeenEvent(
                        batch.revision,
                        event.kv.key,
                        event.kv.value,
                        event.kind is EventKind.DELETE,
                        event.previous,
                    )
                    for event in batch.events
                )
                log.reached = max(log.reached, batch.revision)
        except Compacted:
            log.compacted = True


Habit: TypeAlias = Callable[[Habits, AsyncClient, str, Random], Awaitable[None]]
HABITS: Final[tuple[Habit, ...]] = (
    register,
    register,
    register,
    locker,
    locker,
    locker,
    leaseholder,
    leaseholder,
    renewer,
    visitor,
    watcher,
)
"""One client each."""

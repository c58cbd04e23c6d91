"""`AsyncClient`: URL → engine, and the layers as attributes."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Final, Self

from quorate.client.kv import AsyncKV
from quorate.client.urls import open_store, resolve_url
from quorate.recipes.barriers import Barrier, DoubleBarrier
from quorate.recipes.claim import DEFAULT_TTL_SECONDS, Turns, Workshop
from quorate.recipes.config import Config, Value
from quorate.recipes.counting import BATCH, Counter, Latch, Sequence
from quorate.recipes.election import Election
from quorate.recipes.groups import Group
from quorate.recipes.leases import LeaseKeeper
from quorate.recipes.lock import Lock
from quorate.recipes.queues import Queue
from quorate.recipes.rates import RateLimiter
from quorate.recipes.reentrant import Holds, ReentrantLock
from quorate.recipes.registry import Registry
from quorate.recipes.sharing import ReadLock, Semaphore, WriteLock
from quorate.runtime.ports import Ports
from quorate.runtime.real_ports import real_ports
from quorate.runtime.scope import TaskScope
from quorate.runtime.transport.tls import TlsConfig
from quorate.store.port import Store

TIMEOUT_SECONDS: Final = 10.0
logger: logging.Logger = logging.getLogger("quorate.client")


class AsyncClient:
    """A client of the store behind `url`. Make it inside a running event loop.

    `timeout` (seconds) bounds every call, over all retries and failovers. Close it when
    done, or use it as an async context manager: that revokes its leases. `ports` are those
    of a simulated world; without, it is this machine.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        tls: TlsConfig | None = None,
        timeout: float = TIMEOUT_SECONDS,
        ports: Ports | None = None,
    ) -> None:
        self.url: str = resolve_url(url)
        ports = ports or real_ports()
        self._store = open_store(self.url, tls=tls, timeout=timeout, ports=ports)
        self._scope = TaskScope(_failed)
        self._keeper = LeaseKeeper(self._store, ports.clock, self._scope)
        self._workshop = Workshop(self._store, self._keeper, Turns(), self._scope, ports.clock)
        self._holds = Holds()
        self._randomness = ports.randomness
        self.kv: AsyncKV = AsyncKV(self._store)

    @property
    def store(self) -> Store:
        """The Store port, for layers of one's own."""
        return self._store

    def lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> Lock:
        """Return a lock; others wait at most `ttl` seconds for a holder that died."""
        return Lock(self._workshop, name, ttl=ttl)

    def reentrant_lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> ReentrantLock:
        """Return a lock that the task that holds it may take again; the keys are `lock`'s."""
        return ReentrantLock(self._workshop, self._holds, name, ttl=ttl)

    def semaphore(self, name: str, permits: int, *, ttl: float = DEFAULT_TTL_SECONDS) -> Semaphore:
        """Return a semaphore: at most `permits` hold it at once, unless it was resized."""
        return Semaphore(self._workshop, name, permits, ttl=ttl)

    def read_lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> ReadLock:
        """Return the shared half of a read-write lock."""
        return ReadLock(self._workshop, name, ttl=ttl)

    def write_lock(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> WriteLock:
        """Return the exclusive half of a read-write lock."""
        return WriteLock(self._workshop, name, ttl=ttl)

    def election(
        self, name: str, value: bytes | str = b"", *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> Election:
        """Return an election in which this client may stand, with `value` for all to see."""
        text = value.encode() if isinstance(value, str) else value
        return Election(self._workshop, name, ttl=ttl, value=text)

    def counter(self, name: str) -> Counter:
        """Return a number that all share."""
        return Counter(self._store, name)

    def sequence(self, name: str, *, batch: int = BATCH) -> Sequence:
        """Return a source of ids that nobody else gets."""
        return Sequence(self._store, name, batch=batch)

    def latch(self, name: str, count: int) -> Latch:
        """Return a latch, which opens once it was counted down `count` times."""
        return Latch(self._store, name, count)

    def barrier(self, name: str) -> Barrier:
        """Return a barrier: who comes waits while it is up."""
        return Barrier(self._workshop, name)

    def double_barrier(
        self, name: str, parties: int, *, ttl: float = DEFAULT_TTL_SECONDS
    ) -> DoubleBarrier:
        """Return one party's part in a meeting of so many that enter and leave together."""
        return DoubleBarrier(self._workshop, name, parties, ttl=ttl)

    def queue(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> Queue:
        """Return a queue; an element whose taker died is taken again after `ttl` seconds."""
        return Queue(self._workshop, name, ttl=ttl)

    def group(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> Group:
        """Return a group; a member that died is gone after its `ttl` seconds."""
        return Group(self._workshop, name, ttl=ttl)

    def registry(self, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> Registry:
        """Return a service by its name; an instance that died is gone after its `ttl` seconds."""
        return Registry(self._workshop, self._randomness, name, ttl=ttl)

    def rate_limiter(self, name: str, rate: float, burst: int = 1) -> RateLimiter:
        """Return a limit of `rate` a second, `burst` at once at most, for all together."""
        return RateLimiter(self._workshop, name, rate, burst)

    def config(self, name: str, default: Value) -> Config[Value]:
        """Return a configuration of the default's type, which counts until somebody writes."""
        return Config(self._store, name, default)

    async def close(self) -> None:
        """Revoke leases, end watches, close connections."""
        await self._keeper.close()
        await self._scope.close()
        await self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _failed(name: str, error: BaseException) -> None:
    logger.error("%s failed", name, exc_info=error)

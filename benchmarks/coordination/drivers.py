"""One client per peer behind the same asynchronous methods.

Each driver uses the quickest way its client library has: etcd's lock is the server's own
v3lock RPC rather than the library's recipe, and ZooKeeper's floods run as chains of
callbacks on the library's thread, without a hop into asyncio per request.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import aetcd
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.recipe.lock import Lock as KazooLock
from kazoo.recipe.watchers import DataWatch
from kazoo.retry import KazooRetry

from benchmarks.coordination.protobuf import field, field_of, number_field
from quorate import AsyncClient

KEYS: Final = 1000
VALUE: Final = bytes(range(256))
LOCK_TTL: Final = 30
THREADS: Final = 160
Flooded = tuple[int, float]


class Driver(abc.ABC):
    """A client of one peer. `endpoints` has the preferred node first."""

    def __init__(self, endpoints: list[str]) -> None:
        self.endpoints = endpoints

    @abc.abstractmethod
    async def open(self) -> None:
        """Connect."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    @abc.abstractmethod
    async def put(self, number: int, value: bytes = VALUE) -> None:
        """Write the key with that number."""

    @abc.abstractmethod
    async def get(self, number: int) -> bytes:
        """Read a key so that every acknowledged write is seen."""

    @abc.abstractmethod
    async def acquire(self, name: str) -> Any:
        """Take a lock and return what `release` needs."""

    @abc.abstractmethod
    async def release(self, held: Any) -> None:
        """Give a lock back."""

    @abc.abstractmethod
    async def watch(self, number: int, seen: Callable[[bytes], None]) -> None:
        """Call `seen` on the loop with each new value of a key, until `close`."""

    async def prepare(self) -> None:
        """Write every key once."""
        for first in range(0, KEYS, 100):
            await asyncio.gather(*(self.put(i) for i in range(first, first + 100)))

    async def flood(self, operation: str, in_flight: int, seconds: float) -> Flooded:
        """Keep `in_flight` operations going; return how many ended, and in how long."""
        call = self.put if operation == "put" else self.get
        begin = time.perf_counter()
        deadline = begin + seconds
        numbers = itertools.count()
        done = 0

        async def worker() -> None:
            nonlocal done
            while time.perf_counter() < deadline:
                await call(next(numbers) % KEYS)
                done += 1

        await asyncio.gather(*(worker() for _ in range(in_flight)))
        return done, time.perf_counter() - begin


class QuorateDriver(Driver):
    """`quorate.AsyncClient`."""

    async def open(self) -> None:
        self._client = AsyncClient("quorate://" + ",".join(self.endpoints))
        self._watches: list[asyncio.Task[None]] = []

    async def close(self) -> None:
        for task in self._watches:
            task.cancel()
        await self._client.close()

    async def put(self, number: int, value: bytes = VALUE) -> None:
        await self._client.kv.put(b"bench/%04d" % number, value)

    async def get(self, number: int) -> bytes:
        found = await self._client.kv.get(b"bench/%04d" % number)
        return found.value if found else b""

    async def acquire(self, name: str) -> Any:
        lock = self._client.lock(name, ttl=LOCK_TTL)
        await lock.acquire()
        return lock

    async def release(self, held: Any) -> None:
        await held.release()

    async def watch(self, number: int, seen: Callable[[bytes], None]) -> None:
        stream = self._client.kv.watch(b"bench/%04d" % number)

        async def follow() -> None:
            async for event in stream:
                seen(event.kv.value)

        self._watches.append(asyncio.create_task(follow()))


class EtcdDriver(Driver):
    """`aetcd`, and etcd's v3lock service over the same channel."""

    async def open(self) -> None:
        host, _, port = self.endpoints[0].partition(":")
        # Channels with equal arguments would share one connection.
        options = {"grpc.use_local_subchannel_pool": 1}
        self._client = aetcd.Client(host=host, port=int(port), options=options)
        await self._client.connect()
        self._lease = 0
        self._watches: list[asyncio.Task[None]] = []
        channel = self._client.channel
        self._lock = channel.unary_unary("/v3lockpb.Lock/Lock")
        self._unlock = channel.unary_unary("/v3lockpb.Lock/Unlock")

    async def close(self) -> None:
        for task in self._watches:
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self._client.close()

    async def put(self, number: int, value: bytes = VALUE) -> None:
        await self._client.put(b"bench/%04d" % number, value)

    async def get(self, number: int) -> bytes:
        found = await self._client.get(b"bench/%04d" % number)
        return found.value if found else b""

    async def acquire(self, name: str) -> Any:
        if not self._lease:
            self._lease = (await self._client.lease(LOCK_TTL)).id
        request = field(1, name.encode()) + number_field(2, self._lease)
        return field_of(await self._lock(request), 2)

    async def release(self, held: Any) -> None:
        await self._unlock(field(1, held))

    async def watch(self, number: int, seen: Callable[[bytes], None]) -> None:
        watch = await self._client.watch(b"bench/%04d" % number)

        async def follow() -> None:
            async for event in watch:
                seen(event.kv.value)

        self._watches.append(asyncio.create_task(follow()))


class ZooKeeperDriver(Driver):
    """`kazoo` with threads: asynchronous results, recipes in a pool of threads."""

    async def open(self) -> None:
        retry = KazooRetry(max_tries=-1, delay=0.01, max_delay=0.05, backoff=1)
        self._client = KazooClient(
            hosts=",".join(self.endpoints), randomize_hosts=False, connection_retry=retry
        )
        self._pool = ThreadPoolExecutor(THREADS)
        self._locks: dict[str, Any] = {}
        await self._run(self._client.start, 10)

    async def close(self) -> None:
        await self._run(self._client.stop)
        await self._run(self._client.close)
        self._pool.shutdown(wait=False)

    async def prepare(self) -> None:
        await self._run(self._client.ensure_path, "/bench")
        paths = [f"/bench/{i:04d}" for i in range(KEYS)]
        results = [self._client.create_async(path, VALUE) for path in paths]
        for one in results:
            with contextlib.suppress(KazooException):
                await self._run(one.get)

    async def put(self, number: int, value: bytes = VALUE) -> None:
        await self._result(self._client.set_async(f"/bench/{number:04d}", value))

    async def get(self, number: int) -> bytes:
        path = f"/bench/{number:04d}"
        # Requests of one session keep their order, so the read follows the sync.
        self._client.sync_async(path)
        value: bytes = (await self._result(self._client.get_async(path)))[0]
        return value

    async def acquire(self, name: str) -> Any:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = KazooLock(self._client, f"/locks/{name}")
        await self._run(lock.acquire)
        return lock

    async def release(self, held: Any) -> None:
        await self._run(held.release)

    async def watch(self, number: int, seen: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()

        def changed(value: bytes | None, _stat: object) -> None:
            loop.call_soon_threadsafe(seen, value or b"")

        await self._run(DataWatch, self._client, f"/bench/{number:04d}", changed)

    async def flood(self, operation: str, in_flight: int, seconds: float) -> Flooded:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        numbers = itertools.count()
        begin = time.perf_counter()
        deadline = begin + seconds
        lock = threading.Lock()
        done, open_ = 0, in_flight

        def issue() -> None:
            path = f"/bench/{next(numbers) % KEYS:04d}"
            if operation == "put":
                self._client.set_async(path, VALUE).rawlink(finished)
            else:
                self._client.sync_async(path)
                self._client.get_async(path).rawlink(finished)

        def finished(result: Any) -> None:
            nonlocal done, open_
            with lock:
                done += result.exception is None
                more = time.perf_counter() < deadline
                open_ -= not more
                last = not open_
            if more:
                issue()
            elif last:
                loop.call_soon_threadsafe(ended.set)

        for _ in range(in_flight):
            issue()
        await ended.wait()
        return done, time.perf_counter() - begin

    async def _run(self, call: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(call, *arguments))

    async def _result(self, result: Any) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle() -> None:
            if future.done():
                return
            if result.exception is None:
                future.set_result(result.value)
            else:
                future.set_exception(result.exception)

        result.rawlink(lambda _: loop.call_soon_threadsafe(settle))
        return await future


DRIVERS: Final[dict[str, type[Driver]]] = {
    "quorate": QuorateDriver,
    "etcd": EtcdDriver,
    "zookeeper": ZooKeeperDriver,
}

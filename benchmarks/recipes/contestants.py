"""One client per peer, with what its recipes do as pairs: take and give back at once.

Each has the form that suits its library best: coroutines for Quorate and etcd, threads for
kazoo, which loops in them without a hop into asyncio per pair. Etcd's recipes are the
server's own v3lock and v3election services, which do all waiting there; it has no semaphore
and no queue. Every request to a server is counted where the library hands it to the network.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final

import aetcd
from kazoo.client import KazooClient
from kazoo.recipe.election import Election as KazooElection
from kazoo.recipe.lock import Lock as KazooLock
from kazoo.recipe.lock import Semaphore as KazooSemaphore
from kazoo.recipe.queue import LockingQueue

from benchmarks.coordination.protobuf import field, field_of, number_field
from benchmarks.recipes.metrics import RECIPES
from quorate import AsyncClient

TTL: Final = 30
PERMITS: Final = 4
CONTENDERS: Final = 16
PATIENCE_SECONDS: Final = 20.0
VALUE: Final = b"an element of the queue"

Coroutine = Callable[[], Awaitable[None]]


class Contestant(abc.ABC):
    """A client of one peer. `endpoints` has the leader first."""

    recipes: ClassVar[tuple[str, ...]] = RECIPES

    def __init__(self, endpoints: list[str]) -> None:
        self.endpoints = endpoints
        self.requests = 0

    @abc.abstractmethod
    async def open(self) -> None:
        """Connect."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    @abc.abstractmethod
    async def worker(self, recipe: str, name: str) -> Any:
        """Return the pair of one worker, for `repeat`."""

    async def repeat(self, pair: Any, deadline: float) -> list[float]:
        """Do the pair until the deadline, and at least once; return how long each took."""
        times = []
        while True:
            begin = time.perf_counter()
            await pair()
            end = time.perf_counter()
            times.append(end - begin)
            if end >= deadline:
                return times

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any) -> Any:
            self.requests += 1
            return call(*arguments)

        return counting


class QuorateContestant(Contestant):
    """`quorate.AsyncClient`."""

    async def open(self) -> None:
        self._client = AsyncClient("quorate://" + ",".join(self.endpoints))
        link: Any = self._client.store._link  # type: ignore[attr-defined]  # noqa: SLF001  all requests pass here
        link.submit = self._counted(link.submit)
        link.post = self._counted(link.post)

    async def close(self) -> None:
        await self._client.close()

    async def worker(self, recipe: str, name: str) -> Coroutine:
        client = self._client
        if recipe == "queue":
            queue = client.queue(name, ttl=TTL)

            async def through_the_queue() -> None:
                await queue.put(VALUE)
                async with queue.take():
                    pass

            return through_the_queue

        claims: dict[str, Callable[[], Any]] = {
            "lock": lambda: client.lock(name, ttl=TTL),
            "semaphore": lambda: client.semaphore(name, PERMITS, ttl=TTL),
            "election": lambda: client.election(name, VALUE, ttl=TTL),
        }
        claim = claims[recipe]

        async def take_and_give_back() -> None:
            async with claim():
                pass

        return take_and_give_back


class EtcdContestant(Contestant):
    """`aetcd` for the leases; its channel for the services that it has no methods for."""

    recipes = ("lock", "election")

    async def open(self) -> None:
        host, _, port = self.endpoints[0].partition(":")
        # Channels with equal arguments would share one connection.
        options = {"grpc.use_local_subchannel_pool": 1}
        self._client = aetcd.Client(host=host, port=int(port), options=options)
        await self._client.connect()
        call = self._client.channel.unary_unary
        self._lock = self._counted(call("/v3lockpb.Lock/Lock"))
        self._unlock = self._counted(call("/v3lockpb.Lock/Unlock"))
        self._campaign = self._counted(call("/v3electionpb.Election/Campaign"))
        self._resign = self._counted(call("/v3electionpb.Election/Resign"))

    async def close(self) -> None:
        await self._client.close()

    async def worker(self, recipe: str, name: str) -> Coroutine:
        # Its keys are named after the lease, so workers with one lease would share the lock.
        lease = (await self._client.lease(TTL)).id
        request = field(1, name.encode()) + number_field(2, lease)
        take, give_back = self._lock, self._unlock
        if recipe == "election":
            request += field(3, VALUE)
            take, give_back = self._campaign, self._resign

        async def take_and_give_back() -> None:
            held = field_of(await take(request), 2)
            await give_back(field(1, held))

        return take_and_give_back


class ZooKeeperContestant(Contestant):
    """`kazoo` and its recipes, each worker in a thread."""

    async def open(self) -> None:
        self._client = KazooClient(hosts=",".join(self.endpoints), randomize_hosts=False)
        self._client._call = self._counted(self._client._call)  # noqa: SLF001  all requests pass here
        self._threads = ThreadPoolExecutor(CONTENDERS)
        await self._run(self._client.start, PATIENCE_SECONDS)

    async def close(self) -> None:
        await self._run(self._client.stop)
        await self._run(self._client.close)
        self._threads.shutdown(wait=False)

    async def worker(self, recipe: str, name: str) -> Callable[[], None]:
        path = f"/{recipe}/{name}"
        if recipe == "queue":
            queue = LockingQueue(self._client, path)

            def through_the_queue() -> None:
                queue.put(VALUE)
                if queue.get(PATIENCE_SECONDS) is None or not queue.consume():
                    raise RuntimeError("kazoo's queue lost an element")

            return through_the_queue
        if recipe == "election":
            election = KazooElection(self._client, path, VALUE.decode())
            return lambda: election.run(lambda: None)
        claim = (
            KazooLock(self._client, path)
            if recipe == "lock"
            else KazooSemaphore(self._client, path, max_leases=PERMITS)
        )

        def take_and_give_back() -> None:
            claim.acquire(timeout=PATIENCE_SECONDS)
            claim.release()

        return take_and_give_back

    async def repeat(self, pair: Callable[[], None], deadline: float) -> list[float]:
        times: list[float] = await self._run(_repeat, pair, deadline)
        return times

    async def _run(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


CONTESTANTS: Final[dict[str, type[Contestant]]] = {
    "quorate": QuorateContestant,
    "etcd": EtcdContestant,
    "zookeeper": ZooKeeperContestant,
}


def _repeat(pair: Callable[[], None], deadline: float) -> list[float]:
    times = []
    while True:
        begin = time.perf_counter()
        pair()
        end = time.perf_counter()
        times.append(end - begin)
        if end >= deadline:
            return times

"""Locks, semaphores, read-write locks and elections, the same on every engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

import quorate
from quorate.errors import InvalidRequest, LockError, LockNotHeld, LockTimeout
from quorate.recipes import Claim

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
CLAIMS: dict[str, Callable[[quorate.AsyncClient, str], Claim]] = {
    "lock": lambda client, name: client.lock(name, ttl=5),
    "semaphore": lambda client, name: client.semaphore(name, 1, ttl=5),
    "write lock": lambda client, name: client.write_lock(name, ttl=5),
    "election": lambda client, name: client.election(name, "me", ttl=5),
}
PATIENCE = 30.0


@asynccontextmanager
async def clients(url: str, count: int) -> AsyncIterator[list[quorate.AsyncClient]]:
    opened = [quorate.AsyncClient(url) for _ in range(count)]
    try:
        yield opened
    finally:
        for client in opened:
            await client.close()


async def waiting(client: quorate.AsyncClient, name: str, count: int) -> None:
    """Wait until so many keys are in the queue."""
    async with asyncio.timeout(PATIENCE):
        while len((await client.kv.range(prefix=f"{name}/")).items) != count:  # noqa: ASYNC110  the cluster knows
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", CLAIMS)
def test_one_holds_it_and_tokens_rise(url: str, name: str, kind: str) -> None:
    async def body() -> None:
        inside = 0
        tokens: list[int] = []

        async def use(client: quorate.AsyncClient) -> None:
            nonlocal inside
            for _ in range(5):
                async with CLAIMS[kind](client, name) as held:
                    inside += 1
                    assert inside == 1
                    tokens.append(held.token)
                    await asyncio.sleep(0)
                    held.check()
                    inside -= 1

        async with clients(url, 3) as opened:
            await asyncio.gather(*(use(client) for client in opened for _ in range(2)))
        assert len(tokens) == 30
        assert tokens == sorted(set(tokens))

    asyncio.run(body())


@pytest.mark.parametrize("kind", CLAIMS)
def test_first_come_first_served_and_nobody_stays_behind(url: str, name: str, kind: str) -> None:
    async def body() -> None:
        async with clients(url, 4) as opened:
            first, *others = opened
            order: list[int] = []
            held = CLAIMS[kind](first, name)
            await held.acquire()

            async def wait(number: int, client: quorate.AsyncClient) -> None:
                async with CLAIMS[kind](client, name):
                    order.append(number)

            tasks = []
            for number, client in enumerate(others):
                tasks.append(asyncio.ensure_future(wait(number, client)))
                await waiting(first, name, number + 2)
            tasks[1].cancel()
            await waiting(first, name, 3)
            await held.release()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert order == [0, 2]
            await waiting(first, name, 0)

    asyncio.run(body())


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_wait_that_is_too_long_is_told_so(url: str, name: str, kind: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            held = CLAIMS[kind](one, name)
            await held.acquire()
            with pytest.raises(LockTimeout, match=kind):
                await CLAIMS[kind](two, name).acquire(timeout=0.2)
            await waiting(one, name, 1)
            assert await CLAIMS[kind](two, name).try_acquire() is None
            await held.release()
            other = CLAIMS[kind](two, name)
            assert await other.try_acquire() is not None
            with pytest.raises(LockError, match="holds"):
                await other.acquire()
            await other.release()
            with pytest.raises(LockNotHeld):
                await other.release()

    asyncio.run(body())


def test_a_semaphore_lets_so_many_in_and_no_more(url: str, name: str) -> None:
    async def body() -> None:
        inside = most = 0

        async def use(client: quorate.AsyncClient) -> None:
            nonlocal inside, most
            for _ in range(4):
                async with client.semaphore(name, 3):
                    inside += 1
                    most = max(most, inside)
                    await asyncio.sleep(0.01)
                    inside -= 1

        async with clients(url, 2) as opened:
            await asyncio.gather(*(use(client) for client in opened for _ in range(4)))
        assert most == 3

    asyncio.run(body())


def test_a_semaphore_can_be_resized_while_others_wait(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            first, second = one.semaphore(name, 1), two.semaphore(name, 1)
            await first.acquire()
            entering = asyncio.ensure_future(second.acquire())
            await waiting(one, name, 2)
            await first.resize(2)
            async with asyncio.timeout(PATIENCE):
                await entering
            third = one.semaphore(name, 100)
            assert await third.try_acquire() is None
            await first.resize(1)
            await first.release()
            assert await third.try_acquire() is None
            await second.release()
            assert await third.try_acquire() is not None
            await third.release()

    asyncio.run(body())


def test_readers_share_and_a_writer_is_alone_and_overtaken_by_nobody(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 4) as (one, two, three, four):
            readers = [one.read_lock(name), two.read_lock(name)]
            for reader in readers:
                await reader.acquire()
            writer, late = three.write_lock(name), four.read_lock(name)
            writing = asyncio.ensure_future(writer.acquire())
            await waiting(one, name, 3)
            reading = asyncio.ensure_future(late.acquire())
            await waiting(one, name, 4)
            await readers[0].release()
            assert not writing.done()
            await readers[1].release()
            async with asyncio.timeout(PATIENCE):
                await writing
            assert not reading.done()
            await writer.release()
            async with asyncio.timeout(PATIENCE):
                await reading
            await late.release()

    asyncio.run(body())


def test_a_reader_that_wants_to_write_as_well_is_refused(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,):
            async with client.read_lock(name):
                with pytest.raises(LockError, match="give it back"):
                    await client.write_lock(name).acquire()
                # Another task is another reader's business: it waits.
                with pytest.raises(LockTimeout):
                    await asyncio.create_task(client.write_lock(name).acquire(timeout=0.2))
            async with client.write_lock(name):
                pass

    asyncio.run(body())


def test_a_thread_that_reads_and_wants_to_write_as_well_is_refused(url: str, name: str) -> None:
    with quorate.Client(url) as client, ThreadPoolExecutor(1) as other:
        with client.read_lock(name):
            for ask in (client.write_lock(name).acquire, client.write_lock(name).try_acquire):
                with pytest.raises(LockError, match="give it back"):
                    ask()
            # Another thread is another reader's business: it waits.
            with pytest.raises(LockTimeout):
                other.submit(client.write_lock(name).acquire, timeout=0.2).result()
        with client.write_lock(name):
            pass


def test_an_election_shows_who_leads_and_what_it_says(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 3) as (one, two, watcher):
            seen: list[bytes | None] = []
            enough = asyncio.Event()

            async def observe() -> None:
                async for leader in watcher.election(name).observe():
                    seen.append(leader.value if leader else None)
                    if leader is not None and leader.value == b"two":
                        enough.set()

            observing = asyncio.ensure_future(observe())
            first, second = one.election(name, "one"), two.election(name, "two")
            held = await first.acquire()
            leader = await second.leader()
            assert leader == (held.token, b"one")
            await first.proclaim("one, still")
            leader = await second.leader()
            assert leader == (held.token, b"one, still")
            campaign = asyncio.ensure_future(second.acquire())
            await waiting(one, name, 2)
            await first.release()
            assert (await campaign).token > held.token
            async with asyncio.timeout(PATIENCE):
                await enough.wait()
            observing.cancel()
            assert [each for each in seen if each is not None][-1] == b"two"
            with pytest.raises(LockNotHeld):
                await first.proclaim("nobody")
            await second.release()
            assert await first.leader() is None

    asyncio.run(body())


def test_a_holder_that_dies_is_followed_after_its_ttl(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,):
            # What a dead process leaves: its key, on a lease that nobody renews.
            grant = await client.kv.grant(2)
            await client.kv.put(f"{name}/{grant.id:x}", "", lease=grant.id)
            assert await client.lock(name).try_acquire() is None
            async with asyncio.timeout(PATIENCE), client.lock(name):
                pass

    asyncio.run(body())


def test_what_makes_no_sense_is_refused(url: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,):
            for make in (
                lambda: client.lock(""),
                lambda: client.lock("a", ttl=0),
                lambda: client.semaphore("a", 0),
                lambda: client.election(""),
            ):
                with pytest.raises(InvalidRequest):
                    make()

    asyncio.run(body())


def test_the_blocking_face_has_the_same(url: str, name: str) -> None:
    with quorate.Client(url) as client:
        with client.semaphore(f"{name}-s", 2) as held:
            assert held.token
        with client.read_lock(f"{name}-rw") as held:
            assert held.token
        with client.write_lock(f"{name}-rw") as held:
            assert held.token
        election = client.election(f"{name}-e", "me")
        with election as held:
            leader = election.leader()
            assert leader is not None
            assert (leader.token, leader.value) == (held.token, b"me")
            election.proclaim("still me")
            assert next(election.observe()) == (held.token, b"still me")
        assert election.leader() is None

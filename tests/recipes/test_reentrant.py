"""The re-entrant lock: whose it is, how often, and what all of it feels when it is lost."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import quorate
from quorate.errors import InvalidRequest, LockLost, LockNotHeld, LockTimeout
from quorate.recipes import HeldLock

from .test_claims import PATIENCE, clients, waiting

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
MEMORY = "memory:"


async def lease_of(client: quorate.AsyncClient, name: str) -> int:
    found = await client.kv.range(prefix=f"{name}/")
    return found.items[0].lease


async def forever() -> None:
    """Wait for a cancellation, which comes long before this gives up."""
    async with asyncio.timeout(PATIENCE):
        await asyncio.Event().wait()


def test_a_function_takes_the_lock_that_its_caller_has(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):

            async def library() -> int:
                async with one.reentrant_lock(name) as held:
                    return held.token

            async with one.reentrant_lock(name) as held:
                assert await library() == held.token
                held.check()
                assert await two.lock(name).try_acquire() is None
                assert await two.reentrant_lock(name).try_acquire() is None
            await waiting(two, name, 0)
            async with two.lock(name) as other:
                assert other.token > held.token
                assert await one.reentrant_lock(name).try_acquire() is None

    asyncio.run(body())


def test_the_last_of_as_many_releases_frees_it(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            lock = one.reentrant_lock(name)
            tokens = {(await lock.acquire()).token, (await lock.acquire()).token}
            again = await one.reentrant_lock(name).try_acquire()
            assert again is not None
            assert tokens == {again.token}
            for _ in range(2):
                await lock.release()
                assert await two.lock(name).try_acquire() is None
            await one.reentrant_lock(name).release()
            assert lock.held is None
            with pytest.raises(LockNotHeld):
                await lock.release()
            async with asyncio.timeout(PATIENCE), two.lock(name):
                pass

    asyncio.run(body())


def test_a_child_task_is_another_and_owns_nothing_of_its_parent(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,):
            lock = client.reentrant_lock(name)

            async def child() -> None:
                assert lock.held is None
                with pytest.raises(LockNotHeld, match="whoever took it"):
                    await lock.release()
                with pytest.raises(LockTimeout):
                    await lock.acquire(timeout=0.2)
                assert await lock.try_acquire() is None

            async with lock:
                await asyncio.create_task(child())
                assert lock.held is not None

    asyncio.run(body())


def test_tasks_of_one_client_take_turns_with_one_object(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,):
            lock = client.reentrant_lock(name)
            inside = 0

            async def use() -> int:
                nonlocal inside
                async with lock, lock:
                    inside += 1
                    assert inside == 1
                    await asyncio.sleep(0)
                    async with lock as held:
                        inside -= 1
                        return held.token

            tokens = await asyncio.gather(*(use() for _ in range(5)))
            assert len(set(tokens)) == 5

    asyncio.run(body())


def test_a_lost_lease_is_felt_by_every_hold_and_told_by_the_outermost(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            lock = one.reentrant_lock(name, ttl=2)
            cancelled: list[HeldLock] = []

            async def library() -> None:
                async with lock as inner:
                    try:
                        await one.kv.revoke(await lease_of(two, name))
                        await forever()
                    except asyncio.CancelledError:
                        assert inner.lost
                        with pytest.raises(LockLost):
                            await lock.acquire()
                        cancelled.append(inner)
                        raise

            async def caller() -> None:
                async with lock as outer:
                    try:
                        await library()
                    finally:
                        assert outer.lost

            with pytest.raises(LockLost, match="re-entrant lock"):
                await caller()
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            assert lock.held is None
            async with asyncio.timeout(PATIENCE), lock as later:
                assert [held.token < later.token for held in cancelled] == [True]

    asyncio.run(body())


def test_a_body_inside_a_hold_that_has_none_is_cancelled_as_well() -> None:
    async def body() -> None:
        async with clients(MEMORY, 1) as (client,):
            lock = client.reentrant_lock("a", ttl=1)

            async def inside() -> None:
                async with lock:
                    await client.kv.revoke(await lease_of(client, "a"))
                    await forever()

            await lock.acquire()
            with pytest.raises(LockLost):
                await inside()
            await lock.release()
            assert lock.held is None

    asyncio.run(body())


def test_a_hold_that_outlives_its_body_is_kept_and_cancels_nothing() -> None:
    async def body() -> None:
        async with clients(MEMORY, 1) as (client,):
            lock = client.reentrant_lock("a", ttl=1)
            async with lock:
                held = await lock.acquire()
            assert not held.lost
            await client.kv.revoke(await lease_of(client, "a"))
            async with asyncio.timeout(PATIENCE):
                await held.wait_lost()
            await lock.release()
            with pytest.raises(LockNotHeld):
                await lock.release()

    asyncio.run(body())


def test_giving_back_more_than_one_has_is_told_at_the_end_of_the_body() -> None:
    async def body() -> None:
        async with clients(MEMORY, 1) as (client,):
            lock = client.reentrant_lock("a", ttl=1)

            async def give_back_twice() -> None:
                async with lock:
                    await lock.release()

            with pytest.raises(LockNotHeld):
                await give_back_twice()
            assert await client.lock("a").try_acquire() is not None

    asyncio.run(body())


def test_what_makes_no_sense_is_refused() -> None:
    async def body() -> None:
        async with clients(MEMORY, 1) as (client,):
            with pytest.raises(InvalidRequest):
                client.reentrant_lock("")
            with pytest.raises(InvalidRequest):
                client.reentrant_lock("a", ttl=0)

    asyncio.run(body())


def test_a_thread_takes_it_again_and_another_does_not(url: str, name: str) -> None:
    with quorate.Client(url) as client, ThreadPoolExecutor(1) as other:
        lock = client.reentrant_lock(name)
        with lock as outer, client.reentrant_lock(name) as inner:
            assert inner.token == outer.token
            assert other.submit(lock.try_acquire).result() is None
            with pytest.raises(LockNotHeld):
                other.submit(lock.release).result()
        held = other.submit(lock.acquire).result()
        assert held.token > outer.token
        assert lock.try_acquire() is None
        other.submit(lock.release).result()
        with lock:
            pass


def test_a_thread_is_not_taken_for_one_that_has_ended() -> None:
    with quorate.Client(MEMORY) as client:
        lock = client.reentrant_lock("a")
        first = threading.Thread(target=lock.acquire)
        first.start()
        first.join()
        answers: list[object] = []
        # It may well get the number of the one before.
        second = threading.Thread(target=lambda: answers.append(lock.try_acquire()))
        second.start()
        second.join()
        assert answers == [None]


def test_a_thread_is_told_what_it_lost() -> None:
    with quorate.Client(MEMORY) as client:
        lock = client.reentrant_lock("a", ttl=1)

        def use() -> None:
            with lock as outer, lock as inner:
                client.kv.revoke(client.kv.range(prefix="a/").items[0].lease)
                ended = threading.Event()
                while not outer.lost:
                    ended.wait(0.01)
                assert inner.lost

        with pytest.raises(LockLost):
            use()
        with lock:
            pass

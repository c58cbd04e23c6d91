"""Counters, sequences, latches, barriers and queues, the same on every engine."""

from __future__ import annotations

import asyncio

import pytest

import quorate
from quorate.errors import InvalidRequest, LockLost

from .test_claims import PATIENCE, clients

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_a_counter_loses_no_count(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 3) as opened:
            counters = [client.counter(name) for client in opened for _ in range(2)]

            async def add(number: int) -> None:
                for _ in range(5):
                    await counters[number].add()

            await asyncio.gather(*(add(number) for number in range(len(counters))))
            assert await counters[0].get() == 30
            assert await counters[1].add(-40) == -10

    asyncio.run(body())


def test_ids_of_a_sequence_are_nobody_elses(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 3) as opened:
            sequences = [client.sequence(name, batch=10) for client in opened]
            taken = await asyncio.gather(
                *(sequence.next() for sequence in sequences for _ in range(25))
            )
            assert len(set(taken)) == 75
            assert min(taken) == 1
            assert max(taken) <= 90
            one = [await sequences[0].next() for _ in range(15)]
            assert one == sorted(one)

    asyncio.run(body())


def test_a_latch_opens_for_all_when_it_was_counted_down(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            waiters = [asyncio.ensure_future(c.latch(name, 3).wait()) for c in (one, two)]
            lefts = [await one.latch(name, 3).count_down() for _ in range(2)]
            assert not any(waiter.done() for waiter in waiters)
            lefts.append(await two.latch(name, 3).count_down())
            assert lefts == [2, 1, 0]
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*waiters)
                await one.latch(name, 3).wait()
            assert await one.latch(name, 3).count_down() == 0

    asyncio.run(body())


def test_a_barrier_holds_whoever_comes_until_it_is_lifted(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            barrier = one.barrier(name)
            await barrier.wait()
            await barrier.raise_()
            waiter = asyncio.ensure_future(two.barrier(name).wait())
            await one.kv.put(f"{name}/other", "")
            assert not waiter.done()
            await barrier.lift()
            async with asyncio.timeout(PATIENCE):
                await waiter

    asyncio.run(body())


def test_waiting_outlives_the_history(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            await one.barrier(f"{name}-b").raise_()
            await one.latch(f"{name}-l", 2).count_down()
            for _ in range(3):
                revision = await one.kv.put(f"{name}-other", "")
            if one.store.capabilities.past_revisions:
                await one.kv.compact(revision)
            waiters = [
                asyncio.ensure_future(two.barrier(f"{name}-b").wait()),
                asyncio.ensure_future(two.latch(f"{name}-l", 2).wait()),
            ]
            await asyncio.sleep(0)
            await one.barrier(f"{name}-b").lift()
            await one.latch(f"{name}-l", 2).count_down()
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*waiters)

    asyncio.run(body())


def test_parties_enter_together_and_leave_together(url: str, name: str) -> None:
    async def body() -> None:
        entered: list[int] = []
        left: list[int] = []
        working = asyncio.Event()

        async def attend(number: int, client: quorate.AsyncClient) -> None:
            meeting = client.double_barrier(name, 3)
            await meeting.enter()
            entered.append(number)
            if number == 2:
                await working.wait()
            assert len(left) == 0
            await meeting.leave()
            left.append(number)

        async with clients(url, 3) as opened:
            parties = [
                asyncio.ensure_future(attend(number, client))
                for number, client in enumerate(opened[:2])
            ]
            async with asyncio.timeout(PATIENCE):
                while len((await opened[0].kv.range(prefix=f"{name}/parties/")).items) < 2:  # noqa: ASYNC110  the cluster knows
                    await asyncio.sleep(0.01)
                assert entered == []
                parties.append(asyncio.ensure_future(attend(2, opened[2])))
                while len(entered) < 3:  # noqa: ASYNC110  so do they
                    await asyncio.sleep(0.01)
                assert left == []
                working.set()
                await asyncio.gather(*parties)
            assert sorted(left) == [0, 1, 2]

    asyncio.run(body())


def test_every_element_of_a_queue_is_finished_once(url: str, name: str) -> None:
    async def body() -> None:
        done: list[bytes] = []

        async def work(client: quorate.AsyncClient, times: int) -> None:
            for _ in range(times):
                async with client.queue(name).take() as element:
                    element.check()
                    await asyncio.sleep(0)
                    done.append(element.value)

        async with clients(url, 3) as (producer, one, two):
            working = [asyncio.ensure_future(work(client, 6)) for client in (one, two)]
            for number in range(12):
                await producer.queue(name).put(str(number))
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*working)
            assert sorted(done, key=int) == [str(number).encode() for number in range(12)]
            assert await producer.queue(name).size() == 0

    asyncio.run(body())


def test_a_queue_is_in_order_and_priorities_come_first(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,):
            queue = client.queue(name)
            for value, priority in (("b", 128), ("c", 128), ("d", 200), ("a", 0)):
                await queue.put(value, priority=priority)
            taken = []
            for _ in range(4):
                async with queue.take() as element:
                    taken.append(element.value)
            assert taken == [b"a", b"b", b"c", b"d"]

    asyncio.run(body())


def test_an_element_whose_body_raised_is_taken_again(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            await one.queue(name).put("x")

            async def fail() -> None:
                async with one.queue(name).take():
                    raise RuntimeError("out of paper")

            with pytest.raises(RuntimeError):
                await fail()
            async with asyncio.timeout(PATIENCE), two.queue(name).take() as element:
                assert element.value == b"x"

    asyncio.run(body())


def test_an_element_that_another_has_by_now_is_not_finished(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            await one.queue(name).put("x")

            async def sleep_through() -> None:
                async with one.queue(name).take() as element:
                    # What the end of a lease does.
                    claims = await two.kv.range(prefix=f"{name}/claims/")
                    await two.kv.delete(claims.items[0].key)
                    async with two.queue(name).take() as again:
                        assert again.token > element.token

            with pytest.raises(LockLost, match="not finished"):
                await sleep_through()
            assert await one.queue(name).size() == 0

    asyncio.run(body())


def test_what_makes_no_sense_is_refused(url: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,):
            for make in (
                lambda: client.counter(""),
                lambda: client.sequence("a", batch=0),
                lambda: client.latch("a", 0),
                lambda: client.barrier(""),
                lambda: client.double_barrier("a", 0),
                lambda: client.queue(""),
            ):
                with pytest.raises(InvalidRequest):
                    make()
            with pytest.raises(InvalidRequest):
                await client.queue("a").put("x", priority=256)

    asyncio.run(body())


def test_the_blocking_face_has_the_same(url: str, name: str) -> None:
    with quorate.Client(url) as client:
        assert client.counter(f"{name}-c").add(3) == 3
        assert client.sequence(f"{name}-s").next() == 1
        latch = client.latch(f"{name}-l", 1)
        latch.count_down()
        latch.wait()
        barrier = client.barrier(f"{name}-b")
        barrier.raise_()
        barrier.lift()
        barrier.wait()
        meeting = client.double_barrier(f"{name}-d", 1)
        meeting.enter()
        meeting.leave()
        queue = client.queue(f"{name}-q")
        queue.put("x")
        with queue.take() as element:
            assert element.value == b"x"
        assert queue.size() == 0

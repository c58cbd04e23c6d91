"""Groups and rate limits, the same on every engine."""

from __future__ import annotations

import asyncio

import pytest

import quorate
from quorate.errors import InvalidRequest, LockLost, LockTimeout
from quorate.recipes import ChangeKind, Member, MemberChange

from .test_claims import PATIENCE, clients

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_members_come_say_something_and_go(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 3) as (one, two, watcher):
            changes: list[MemberChange] = []
            began, left = asyncio.Event(), asyncio.Event()

            async def follow() -> None:
                async for change in watcher.group(name).changes():
                    changes.append(change)
                    began.set()
                    if sum(each.kind is ChangeKind.LEFT for each in changes) == 2:
                        left.set()
                        return

            async with one.group(name).join("first") as first:
                following = asyncio.ensure_future(follow())
                await began.wait()
                async with two.group(name).join("second") as second:
                    members = await watcher.group(name).members()
                    assert members == sorted(
                        [Member(first.id, b"first"), Member(second.id, b"second")]
                    )
                    await second.update("still second")
                    assert Member(second.id, b"still second") in await one.group(name).members()
            async with asyncio.timeout(PATIENCE):
                await left.wait()
                await following
            assert await one.group(name).members() == []
            # What came and went before the watch began may be seen as one change.
            assert changes[0] == (ChangeKind.JOINED, (first.id, b"first"))
            of_second = [each for each in changes if each.member.id == second.id]
            assert of_second[0].kind is ChangeKind.JOINED
            assert of_second[-1] == (ChangeKind.LEFT, (second.id, b""))

    asyncio.run(body())


def test_a_view_follows_the_group_at_no_cost(url: str, name: str) -> None:
    async def body() -> None:
        async with (
            clients(url, 2) as (one, two),
            one.group(name).join("a") as first,
            two.group(name).view() as view,
        ):
            assert view.members == [Member(first.id, b"a")]
            async with one.group(name).join("b"), asyncio.timeout(PATIENCE):
                while len(view.members) < 2:  # noqa: ASYNC110  it comes by itself
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(PATIENCE):
                while len(view.members) > 1:  # noqa: ASYNC110  as above
                    await asyncio.sleep(0.01)
            assert view.members == [Member(first.id, b"a")]

    asyncio.run(body())


def test_a_member_that_died_is_gone_and_one_that_was_removed_is_told(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            grant = await two.kv.grant(1)
            await two.kv.put(f"{name}/members/dead", "x", lease=grant.id)
            assert [member.id for member in await one.group(name).members()] == ["dead"]
            async with asyncio.timeout(PATIENCE):
                while await one.group(name).members():  # noqa: ASYNC110  its lease ends
                    await asyncio.sleep(0.05)
            async with one.group(name).join("x") as own:
                await two.kv.delete(f"{name}/members/{own.id}")
                with pytest.raises(LockLost, match="join again"):
                    await own.update("y")

    asyncio.run(body())


def test_a_fleet_keeps_its_rate_together(url: str, name: str) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        async with clients(url, 2) as opened:
            limiters = [client.rate_limiter(name, 20, burst=5) for client in opened]
            begin = loop.time()
            await asyncio.gather(*(limiters[each % 2].acquire() for each in range(15)))
            # Five were there, ten had to come.
            assert loop.time() - begin >= 10 / 20 - 0.05

    asyncio.run(body())


def test_tokens_that_are_not_there_are_refused_and_cost_nothing(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,):
            limiter = client.rate_limiter(name, 0.01, burst=2)
            assert await limiter.try_acquire(2)
            assert not await limiter.try_acquire()
            with pytest.raises(LockTimeout):
                await limiter.acquire(timeout=1)
            with pytest.raises(InvalidRequest):
                await limiter.try_acquire(3)
            for rate, burst in ((0, 1), (1, 0)):
                with pytest.raises(InvalidRequest):
                    client.rate_limiter(name, rate, burst)

    asyncio.run(body())


def test_the_blocking_face_has_the_same(url: str, name: str) -> None:
    with quorate.Client(url) as client:
        group = client.group(f"{name}-g")
        with group.join("me") as membership:
            assert group.members() == [(membership.id, b"me")]
            membership.update("still me")
            assert next(group.changes()).member == (membership.id, b"still me")
            with group.view() as view:
                assert [member.data for member in view.members] == [b"still me"]
        assert group.members() == []
        limiter = client.rate_limiter(f"{name}-r", 1000, burst=2)
        assert limiter.try_acquire()
        limiter.acquire()

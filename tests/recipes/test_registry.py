"""The registry: who is seen, who is not, and who of those is picked."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

import quorate
from quorate.errors import InvalidRequest, LeaseNotFound, LimitExceeded, NoInstance
from quorate.recipes import ChangeKind, Instance, InstanceChange, InstanceView

from .conftest import ENGINES
from .test_claims import PATIENCE, clients

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
MEMORY = "memory:"
SERVER = """
import asyncio, sys, quorate

async def main():
    async with quorate.AsyncClient(sys.argv[1]) as client:
        async with client.registry(sys.argv[2], ttl=1).register("10.0.0.9:80"):
            print("registered", flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something that comes by itself is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  it tells no event
            await asyncio.sleep(0.01)


async def lease_of(client: quorate.AsyncClient, name: str) -> int:
    (item,) = (await client.kv.range(prefix=f"{name}/members/")).items
    return item.lease


@asynccontextmanager
async def view_of(*documents: str) -> AsyncIterator[tuple[quorate.AsyncClient, InstanceView]]:
    """A view of members `a`, `b` and so on, with what they say of themselves."""
    async with clients(MEMORY, 1) as (client,):
        for name, document in zip("abcdefgh", documents, strict=False):
            await client.kv.put(f"api/members/{name}", document)
        async with client.registry("api").view() as view:
            yield client, view


def at(port: int, rest: str = "") -> str:
    return f'{{"address":"10.0.0.1:{port}"{rest}}}'


def test_an_instance_is_seen_while_its_body_runs(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            registry = two.registry(name)
            async with one.registry(name).register(
                "10.0.0.7:8080", metadata={"zone": "a"}, weight=3
            ) as own:
                assert own.registered
                assert await registry.instances() == [own.instance]
                assert own.instance == Instance(own.id, "10.0.0.7", 8080, {"zone": "a"}, 3)
                async with one.registry(name).register("[::1]:80") as second:
                    assert second.instance.address == "[::1]:80"
                    assert second.instance.host == "::1"
                    seen = {instance.id for instance in await registry.instances()}
                    assert seen == {own.id, second.id}
            assert not await registry.instances()

    asyncio.run(body())


def test_changes_tell_who_joined_changed_and_left(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two), asyncio.timeout(PATIENCE):
            changes = two.registry(name).changes()
            async with one.registry(name).register("h:1", metadata={"v": "1"}) as own:
                first = own.instance
                assert await anext(changes) == InstanceChange(ChangeKind.JOINED, first)
                await own.update(metadata={"v": "2"})
                second = own.instance
                assert second.metadata == {"v": "2"}
                assert await anext(changes) == InstanceChange(ChangeKind.CHANGED, second)
                await own.update(weight=0)
                changed = await anext(changes)
                assert (changed.instance.metadata, changed.instance.weight) == ({"v": "2"}, 0)
            assert await anext(changes) == InstanceChange(ChangeKind.LEFT, changed.instance)
            await changes.aclose()

    asyncio.run(body())


def test_a_view_follows_and_waits_for_those_to_come(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two), two.registry(name).view() as view:
            assert view.instances == []
            with pytest.raises(NoInstance, match="test_a_view_follows"):
                view.pick()
            waiting = asyncio.ensure_future(view.wait(2))
            async with one.registry(name).register("h:1"):
                await until(lambda: len(view.instances) == 1)
                assert not waiting.done()
                async with one.registry(name).register("h:2"), asyncio.timeout(PATIENCE):
                    await waiting
                    assert {view.pick().port, view.pick().port} == {1, 2}
                await until(lambda: [each.port for each in view.instances] == [1])

    asyncio.run(body())


def test_an_instance_that_lost_its_lease_comes_back_by_itself(url: str, name: str) -> None:
    async def body() -> None:
        async with (
            clients(url, 2) as (one, two),
            two.registry(name).view() as view,
            one.registry(name, ttl=1).register("h:1") as own,
        ):
            await view.wait()
            lease = await lease_of(two, name)
            await one.kv.revoke(lease)
            await until(lambda: not view.instances)
            await until(lambda: view.instances == [own.instance])
            await until(lambda: own.registered)
            assert await lease_of(two, name) != lease

    asyncio.run(body())


def test_an_instance_moves_to_a_new_lease_while_the_old_one_still_lives(
    url: str, name: str
) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            async with one.registry(name, ttl=3).register("h:1") as own:
                lease = await lease_of(two, name)
                # As after a pause: the client does not trust it any more, the store does.
                (one._keeper._leases[3]).lost.set()
                assert not own.registered
                await until(lambda: own.registered)
                assert await lease_of(two, name) != lease
                if two.store.capabilities.foreign_leases:
                    with suppress(LeaseNotFound):
                        await two.kv.revoke(lease)
                assert await two.registry(name).instances() == [own.instance]
            assert await two.registry(name).instances() == []

    asyncio.run(body())


@pytest.mark.parametrize("url", ENGINES[1:], indirect=True)
def test_an_instance_whose_process_is_killed_is_gone_after_its_ttl(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,), client.registry(name).view() as view:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", SERVER, url, name, stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            assert await process.stdout.readline() == b"registered\n"
            async with asyncio.timeout(PATIENCE):
                await view.wait()
            os.kill(process.pid, signal.SIGKILL)
            await process.communicate()
            await until(lambda: not view.instances)

    asyncio.run(body())


def test_the_blocking_face_has_the_same(url: str, name: str) -> None:
    with quorate.Client(url) as client:
        registry = client.registry(name)
        with registry.register("h:1", metadata={"zone": "a"}, check=lambda: True) as own:
            assert own.registered
            assert registry.instances() == [own.instance]
            own.update(weight=2)
            assert next(registry.changes()) == (ChangeKind.JOINED, own.instance)
            with registry.view() as view:
                view.wait()
                assert view.pick() == view.pick_for("k") == own.instance
                view.report_down(own.instance, 60)
                assert view.instances == [view.pick()]
        assert registry.instances() == []


@pytest.mark.parametrize("illness", ["says so", "hangs", "breaks"])
def test_an_instance_that_is_not_well_is_not_seen_until_it_is(illness: str) -> None:
    async def body() -> None:
        well = asyncio.Event()
        well.set()

        async def check() -> bool:
            if illness == "hangs":
                await well.wait()
            if illness == "breaks" and not well.is_set():
                raise RuntimeError("no connection to the database")
            return well.is_set()

        async with clients(MEMORY, 1) as (client,):
            registry = client.registry("api")
            async with (
                registry.view() as view,
                registry.register("h:1", check=check, interval=0.05) as own,
            ):
                for kept in ("once", "twice"):
                    assert own.registered
                    well.clear()
                    await until(lambda: not view.instances and not own.registered)
                    await own.update(metadata={"kept": kept})
                    well.set()
                    await until(lambda: own.registered and view.instances == [own.instance])
                    assert own.instance.metadata == {"kept": kept}

    asyncio.run(body())


def test_an_instance_that_is_ill_from_the_beginning_is_never_seen() -> None:
    async def body() -> None:
        asked = 0

        async def ill() -> bool:
            nonlocal asked
            asked += 1
            return False

        async with clients(MEMORY, 1) as (client,):
            registry = client.registry("api")
            async with registry.register("h:1", check=ill, interval=0.01) as own:
                assert not own.registered
                await until(lambda: asked > 2)
                assert await registry.instances() == []

    asyncio.run(body())


def test_fields_of_a_newer_release_are_ignored_and_foreigners_passed_over() -> None:
    async def body() -> None:
        async with view_of(
            at(1, ',"colour":"green"'),
            "no JSON",
            '{"address":"nowhere"}',
            at(2, ',"weight":-1'),
            at(3, ',"metadata":{"a":1}'),
            '{"address":"10.0.0.1:70000"}',
            "[]",
        ) as (client, view):
            assert view.instances == [Instance("a", "10.0.0.1", 1)]
            await client.kv.put("api/members/a", "it lost its senses")
            await client.kv.put("api/members/b", at(9))
            await until(lambda: view.instances == [Instance("b", "10.0.0.1", 9)])

    asyncio.run(body())


def test_all_are_picked_in_turn_as_often_as_their_weights_say() -> None:
    async def body() -> None:
        async with view_of(at(1), at(2), at(3)) as (_, view):
            for _ in range(3):
                assert {view.pick().port for _ in range(3)} == {1, 2, 3}
        async with view_of(at(1, ',"weight":5'), at(2), at(3, ',"weight":0')) as (_, view):
            assert len(view.instances) == 3
            assert Counter(view.pick().port for _ in range(60)) == {1: 50, 2: 10}
        async with view_of(at(1, ',"weight":0')) as (_, view):
            with pytest.raises(NoInstance):
                view.pick()
            with pytest.raises(NoInstance):
                view.pick_for("k")

    asyncio.run(body())


def test_a_key_has_one_instance_and_only_the_keys_of_who_leaves_move() -> None:
    async def body() -> None:
        keys = [f"user/{number}" for number in range(400)]
        async with view_of(at(1), at(2), at(3, ',"weight":2')) as (client, view):
            before = {key: view.pick_for(key).port for key in keys}
            shares = Counter(before.values())
            assert 60 < shares[1] < 140
            assert 140 < shares[3] < 260
            await client.kv.delete("api/members/b")
            await until(lambda: len(view.instances) == 2)
            after = {key: view.pick_for(key).port for key in keys}
            assert all(before[key] in (2, after[key]) for key in keys)
        async with view_of(at(3, ',"weight":2'), at(2), at(1)) as (_, other):
            # Another client, and other members at the same addresses.
            assert {key: other.pick_for(key.encode()).port for key in keys} == before

    asyncio.run(body())


def test_who_is_reported_down_is_passed_over_until_it_says_something_new() -> None:
    async def body() -> None:
        async with view_of(at(1), at(2)) as (client, view):
            first, second = view.instances
            view.report_down(first)
            assert {view.pick().port for _ in range(4)} == {2}
            assert view.instances == [first, second]
            view.report_down(second)
            # All are down: one of them may be better than none.
            assert {view.pick().port for _ in range(2)} == {1, 2}
            await client.kv.put("api/members/a", at(1, ',"metadata":{"started":"again"}'))
            await until(lambda: bool(view.instances[0].metadata))
            assert {view.pick().port for _ in range(4)} == {1}
            view.report_down(view.instances[0], seconds=0)
            assert {view.pick().port for _ in range(4)} == {1}

    asyncio.run(body())


def test_what_makes_no_sense_is_refused() -> None:
    async def body() -> None:
        async with clients(MEMORY, 1) as (client,):
            registry = client.registry("api")
            for address in ("", "h", ":80", "h:", "h:0", "h:65536", "h:x", "::1:80", "[h]:80"):
                with pytest.raises(InvalidRequest, match="host:port"):
                    await registry.register(address).__aenter__()
            with pytest.raises(InvalidRequest):
                await registry.register("h:1", weight=-1).__aenter__()
            with pytest.raises(InvalidRequest):
                await registry.register("h:1", interval=0).__aenter__()
            with pytest.raises(InvalidRequest):
                client.registry("")
            large = {"large": "x" * (client.store.limits_value_bytes + 1)}
            with pytest.raises(LimitExceeded):
                await registry.register("h:1", metadata=large).__aenter__()
            async with registry.register("h:1") as own:
                with pytest.raises(LimitExceeded):
                    await own.update(metadata=large)
                assert await registry.instances() == [own.instance]
            assert await registry.instances() == []

    asyncio.run(body())

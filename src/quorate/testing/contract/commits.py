"""The contract of commits: conditions, branches, atomicity."""

from __future__ import annotations

import asyncio

import pytest

from quorate.errors import InvalidRequest, LeaseNotFound, UnsupportedByEngine
from quorate.store.compare import create_revision, lease, mod_revision, value, version
from quorate.store.port import Store
from quorate.store.types import (
    Commit,
    CommitResult,
    Compare,
    CompareOperator,
    CompareTarget,
    Delete,
    Get,
    KeyValue,
    Put,
    prefix_end,
)
from quorate.testing.contract.base import Contract, found_at, under

ABSENT_LEASE = 1 << 61


class CommitContract(Contract):
    """What holds for several keys at once."""

    def test_a_commit_whose_conditions_hold_does_all_of_it_at_one_revision(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            one, two = prefix + b"1", prefix + b"2"
            result = await store.commit(
                when=[version(one) == 0, create_revision(two) == 0],
                then=[Put(one, b"x"), Put(two, b"y")],
            )
            assert result.succeeded
            found = [await found_at(store, key) for key in (one, two)]
            assert [each.value for each in found] == [b"x", b"y"]
            assert {each.mod_revision for each in found} == {result.revision}
            assert result.results == (result.revision, result.revision)

        self.check(body)

    def test_a_commit_whose_conditions_fail_changes_nothing(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            one, two = prefix + b"1", prefix + b"2"
            await store.put(one, b"x")
            result = await store.commit(
                when=[version(one) == 1, version(two) == 1], then=[Put(one, b"y"), Delete(two)]
            )
            assert not result.succeeded
            assert (await found_at(store, one)).value == b"x"

        self.check(body)

    def test_every_attribute_can_be_compared(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            created = await store.put(key, b"m")
            changed = await store.put(key, b"m")
            true: list[Compare] = [
                value(key) == b"m",
                version(key) == 2,
                mod_revision(key) == changed,
                create_revision(key) == created,
                lease(key) == 0,
            ]
            ordered: list[Compare] = [
                value(key) != b"n",
                value(key) > b"a",
                version(key) < 3,
                mod_revision(key) > created,
            ]
            for condition in true:
                assert (await store.commit(when=[condition])).succeeded, condition
            if not store.capabilities.ordered_compare:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await store.commit(when=ordered)
                return
            assert (await store.commit(when=ordered)).succeeded
            assert not (await store.commit(when=[value(prefix + b"no") != b""])).succeeded

        self.check(body)

    def test_the_other_branch_is_done_instead(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            await store.put(key, b"mine")

            async def commit() -> CommitResult:
                return await store.commit(
                    when=[version(key) == 0], then=[Put(key, b"yours")], otherwise=[Delete(key)]
                )

            if not store.capabilities.otherwise_branch:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await commit()
                assert (await found_at(store, key)).value == b"mine"
                return
            result = await commit()
            assert not result.succeeded
            assert await store.get(key) is None

        self.check(body)

    def test_a_commit_can_read_what_it_has_written(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"

            async def commit() -> CommitResult:
                return await store.commit(then=[Put(key, b"mine"), Get(key)])

            if not store.capabilities.reads_in_commits:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await commit()
                assert await store.get(key) is None
                return
            (_, found) = (await commit()).results
            assert isinstance(found, KeyValue)
            assert found.value == b"mine"

        self.check(body)

    def test_a_commit_within_a_commit(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key, other = prefix + b"a", prefix + b"b"
            inner = Commit(when=(version(other) == 0,), then=(Put(other, b"x"),))

            async def commit() -> CommitResult:
                return await store.commit(then=[Put(key, b""), inner])

            if not store.capabilities.nested_commits:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await commit()
                return
            (_, nested) = (await commit()).results
            assert isinstance(nested, CommitResult)
            assert nested.succeeded
            assert (await found_at(store, other)).value == b"x"

        self.check(body)

    def test_a_condition_on_a_range_holds_for_each_of_its_keys(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            for name in (b"a", b"b"):
                await store.put(prefix + name, b"x")
            every = Compare(
                prefix, CompareTarget.VALUE, CompareOperator.EQUAL, b"x", end=prefix_end(prefix)
            )

            async def commit() -> CommitResult:
                return await store.commit(when=[every], then=[Put(prefix + b"a", b"y")])

            if not store.capabilities.range_compare:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await commit()
                return
            assert (await commit()).succeeded
            assert not (await commit()).succeeded

        self.check(body)

    def test_of_many_that_race_for_a_key_one_wins(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"

            async def race(name: bytes) -> bool:
                result = await store.commit(when=[version(key) == 0], then=[Put(key, name)])
                return result.succeeded

            won = await asyncio.gather(*(race(b"%d" % number) for number in range(20)))
            assert won.count(True) == 1
            assert (await found_at(store, key)).value == b"%d" % won.index(True)

        self.check(body)

    def test_counters_by_compare_and_swap_lose_nothing(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"count"
            await store.put(key, b"0")

            async def add() -> None:
                while True:
                    found = await found_at(store, key)
                    following = Put(key, b"%d" % (int(found.value) + 1))
                    unchanged = mod_revision(key) == found.mod_revision
                    if (await store.commit(when=[unchanged], then=[following])).succeeded:
                        return

            await asyncio.gather(*(add() for _ in range(10)))
            assert (await found_at(store, key)).value == b"10"

        self.check(body)

    def test_a_commit_that_is_refused_changes_nothing(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            with pytest.raises(LeaseNotFound):
                await store.commit(then=[Put(key, b""), Put(prefix + b"b", b"", ABSENT_LEASE)])
            with pytest.raises(InvalidRequest):
                await store.commit(then=[Put(key, b""), Put(b"", b"")])
            assert (await under(store, prefix)).count == 0

        self.check(body)

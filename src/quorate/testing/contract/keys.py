"""The contract of keys: puts, gets, deletes, ranges, revisions."""

from __future__ import annotations

import asyncio

import pytest

from quorate.errors import FutureRevision, InvalidRequest, LimitExceeded, UnsupportedByEngine
from quorate.store.port import Store
from quorate.store.types import Content, Direction, Range, RangeOrder, prefix_end
from quorate.testing.contract.base import Contract, a_range, found_at, keys_of, under


class KeyContract(Contract):
    """What one key, and many of them, do."""

    def test_a_key_that_was_put_is_there_with_its_revisions(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            assert await store.get(key) is None
            created = await store.put(key, b"one")
            found = await found_at(store, key)
            assert (found.value, found.version, found.lease) == (b"one", 1, 0)
            assert found.create_revision == found.mod_revision == created
            replaced = await store.put(key, b"two")
            assert replaced > created
            found = await found_at(store, key)
            assert (found.value, found.version) == (b"two", 2)
            assert (found.create_revision, found.mod_revision) == (created, replaced)

        self.check(body)

    def test_revisions_rise_over_all_keys(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            revisions = [await store.put(prefix + b"%d" % number, b"") for number in range(5)]
            assert revisions == sorted(set(revisions))

        self.check(body)

    def test_a_key_that_was_deleted_is_gone_and_begins_anew(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            first = await store.put(key, b"x")
            result = await store.delete(key)
            assert result.deleted == 1
            assert await store.get(key) is None
            assert (await store.delete(key)).deleted == 0
            again = await store.put(key, b"y")
            found = await found_at(store, key)
            assert (found.version, found.create_revision) == (1, again)
            assert again > first

        self.check(body)

    def test_values_are_any_bytes(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            for number, value in enumerate((b"", b"\x00", bytes(range(256)), b"x" * 100_000)):
                key = prefix + b"%d" % number
                await store.put(key, value)
                assert (await found_at(store, key)).value == value

        self.check(body)

    def test_a_range_is_in_order_and_ends_before_its_end(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            for name in (b"c", b"a", b"b", b"d"):
                await store.put(prefix + name, name)
            found = await store.range(Range(start=prefix + b"a", end=prefix + b"d"))
            assert keys_of(found) == [prefix + name for name in (b"a", b"b", b"c")]
            assert [item.value for item in found.items] == [b"a", b"b", b"c"]
            assert (found.count, found.more) == (3, False)

        self.check(body)

    def test_a_prefix_holds_its_own_keys_and_no_neighbours(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            own = prefix + b"own/"
            for key in (own + b"a", own + b"b", prefix + b"owm", prefix + b"own0"):
                await store.put(key, b"")
            assert keys_of(await under(store, own)) == [own + b"a", own + b"b"]

        self.check(body)

    def test_a_key_can_be_what_others_begin_with(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            below = prefix + b"own/a"
            await store.put(below, b"below")
            if not store.capabilities.keys_under_keys:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await store.put(prefix + b"own", b"above")
                assert keys_of(await under(store, prefix)) == [below]
                return
            await store.put(prefix + b"own", b"above")
            assert keys_of(await under(store, prefix)) == [prefix + b"own", below]
            assert keys_of(await under(store, prefix + b"own/")) == [below]

        self.check(body)

    def test_a_key_is_any_bytes(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            names = [
                b"\x00",
                b"\xff\xfe",
                b"%41",
                b".",
                b"..",
                "käse".encode(),
                b" ",
                b"a//b",
                b"c/",
            ]
            for name in names:
                await store.put(prefix + name, name)
            found = await under(store, prefix)
            assert keys_of(found) == sorted(prefix + name for name in names)
            assert [prefix + item.value for item in found.items] == keys_of(found)

        self.check(body)

    def test_a_limit_gives_a_page_and_says_that_there_is_more(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            for number in range(5):
                await store.put(prefix + b"%d" % number, b"")
            page = await store.range(a_range(prefix, 2))
            assert keys_of(page) == [prefix + b"0", prefix + b"1"]
            assert (page.count, page.more) == (5, True)

        self.check(body)

    def test_ranges_have_orders_and_less_content(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            for name in (b"b", b"c", b"a"):
                await store.put(prefix + name, b"value")
            newest = await store.range(
                Range(
                    start=prefix,
                    end=prefix_end(prefix),
                    limit=2,
                    order=RangeOrder.CREATE_REVISION,
                    direction=Direction.DESCENDING,
                    content=Content.KEYS,
                )
            )
            assert keys_of(newest) == [prefix + b"a", prefix + b"c"]
            assert [item.value for item in newest.items] == [b"", b""]
            counted = await store.range(
                Range(start=prefix, end=prefix_end(prefix), content=Content.COUNT)
            )
            assert (counted.items, counted.count) == ((), 3)

        self.check(body)

    def test_deleting_a_range_deletes_it_all_at_one_revision(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            for name in (b"a", b"b", b"c"):
                await store.put(prefix + name, b"")
            if not store.capabilities.range_deletes:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await store.delete_range(prefix + b"a", prefix + b"c")
                assert (await under(store, prefix)).count == 3
                return
            result = await store.delete_range(prefix + b"a", prefix + b"c")
            assert result.deleted == 2
            assert keys_of(await under(store, prefix)) == [prefix + b"c"]

        self.check(body)

    def test_the_past_is_as_it_was(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            key = prefix + b"a"
            then = await store.put(key, b"old")
            await store.put(key, b"new")
            if not store.capabilities.past_revisions:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await store.get(key, revision=then)
                return
            past = await store.get(key, revision=then)
            assert past is not None
            assert past.value == b"old"
            page = await store.range(Range(start=prefix, end=prefix_end(prefix), revision=then))
            assert [item.value for item in page.items] == [b"old"]
            with pytest.raises(FutureRevision):
                await store.get(key, revision=then + 1_000_000)

        self.check(body)

    def test_what_makes_no_sense_is_refused_and_changes_nothing(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            with pytest.raises(InvalidRequest):
                await store.put(b"", b"value")
            with pytest.raises(InvalidRequest):
                await store.put("text", b"")  # type: ignore[arg-type]  # the mistake under test
            with pytest.raises(LimitExceeded):
                await store.put(prefix + b"a", bytes(store.limits_value_bytes + 1))
            assert (await under(store, prefix)).count == 0

        self.check(body)

    def test_many_calls_at_once_are_all_done(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            calls = (store.put(prefix + b"%03d" % number, b"%d" % number) for number in range(100))
            revisions = await asyncio.gather(*calls)
            assert len(set(revisions)) == 100
            found = await under(store, prefix)
            assert [item.value for item in found.items] == [b"%d" % each for each in range(100)]

        self.check(body)

    def test_what_is_enqueued_keeps_its_order(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            entries = [await store.enqueue(prefix, b"%d" % number) for number in range(4)]
            orders = [entry.order for entry in entries]
            assert orders == sorted(set(orders))
            found = await under(store, prefix)
            assert keys_of(found) == [entry.key for entry in entries]
            assert [item.value for item in found.items] == [b"0", b"1", b"2", b"3"]

        self.check(body)

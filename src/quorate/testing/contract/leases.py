"""The contract of leases: they live while they are kept alive, and take their keys along."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from quorate.errors import LeaseNotFound, UnsupportedByEngine
from quorate.store.compare import create_revision
from quorate.store.port import Store
from quorate.store.types import Put
from quorate.testing.contract.base import Contract, found_at, under, until_gone

ABSENT: Final = 1 << 61
TTL_SECONDS: Final = 2.0


class LeaseContract(Contract):
    """What a lease promises its holder, and everybody else."""

    def test_a_key_goes_with_its_lease_when_that_ends_by_itself(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            loop = asyncio.get_running_loop()
            before = loop.time()
            grant = await store.grant(TTL_SECONDS)
            assert grant.ttl >= TTL_SECONDS
            await store.put(prefix + b"a", b"", lease=grant.id)
            assert (await found_at(store, prefix + b"a")).lease == grant.id
            await until_gone(store, prefix + b"a")
            assert loop.time() - before >= grant.ttl
            with pytest.raises(LeaseNotFound):
                await store.keep_alive(grant.id)

        self.check(body)

    def test_a_lease_that_is_kept_alive_lives_on(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            grant = await store.grant(TTL_SECONDS)
            await store.put(prefix + b"a", b"", lease=grant.id)
            for _ in range(8):
                await asyncio.sleep(grant.ttl / 4)
                assert await store.keep_alive(grant.id) == grant.ttl
            assert (await found_at(store, prefix + b"a")).lease == grant.id
            await store.revoke(grant.id)

        self.check(body)

    def test_revoking_deletes_every_key_of_the_lease_and_no_other(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            grant = await store.grant(60.0)
            for name in (b"a", b"b"):
                await store.put(prefix + name, b"", lease=grant.id)
            await store.put(prefix + b"c", b"")
            await store.revoke(grant.id)
            assert [item.key for item in (await under(store, prefix)).items] == [prefix + b"c"]
            with pytest.raises(LeaseNotFound):
                await store.revoke(grant.id)

        self.check(body)

    def test_a_lease_tells_what_remains_and_which_keys_it_has(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            grant = await store.grant(60.0)
            for name in (b"b", b"a"):
                await store.put(prefix + name, b"", lease=grant.id)
            status = await store.time_to_live(grant.id)
            assert (status.id, status.ttl) == (grant.id, grant.ttl)
            assert 0 < status.remaining <= grant.ttl
            assert status.keys == (prefix + b"a", prefix + b"b")
            await store.revoke(grant.id)
            with pytest.raises(LeaseNotFound):
                await store.time_to_live(grant.id)

        self.check(body)

    def test_a_key_that_is_written_without_the_lease_outlives_it(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            grant = await store.grant(60.0)
            await store.put(prefix + b"a", b"", lease=grant.id)
            if not store.capabilities.lease_changes:
                with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                    await store.put(prefix + b"a", b"free")
                await store.revoke(grant.id)
                return
            await store.put(prefix + b"a", b"free")
            await store.revoke(grant.id)
            assert (await found_at(store, prefix + b"a")).value == b"free"

        self.check(body)

    def test_a_commit_can_depend_on_a_key_of_a_lease(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            grant = await store.grant(60.0)
            created = await store.put(prefix + b"a", b"", lease=grant.id)
            mine = create_revision(prefix + b"a") == created
            result = await store.commit(when=[mine], then=[Put(prefix + b"b", b"mine")])
            assert result.succeeded
            await store.revoke(grant.id)
            result = await store.commit(when=[mine], then=[Put(prefix + b"b", b"still mine?")])
            assert not result.succeeded
            assert (await found_at(store, prefix + b"b")).value == b"mine"

        self.check(body)

    def test_a_lease_of_another_client(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            grant = await store.grant(60.0)
            created = await store.put(prefix + b"a", b"", lease=grant.id)
            async with self.open() as other:
                if await other.get(prefix + b"a") is None:
                    # A store in memory is its client's alone.
                    return
                theirs = create_revision(prefix + b"a") == created
                if not store.capabilities.foreign_leases:
                    with pytest.raises(UnsupportedByEngine, match=store.capabilities.engine):
                        await other.commit(when=[theirs], then=[Put(prefix + b"b", b"")])
                    with pytest.raises(LeaseNotFound, match=store.capabilities.engine):
                        await other.keep_alive(grant.id)
                    assert await store.get(prefix + b"b") is None
                else:
                    assert await other.keep_alive(grant.id) == grant.ttl
                    result = await other.commit(when=[theirs], then=[Put(prefix + b"b", b"")])
                    assert result.succeeded
            await store.revoke(grant.id)

        self.check(body)

    def test_nothing_is_attached_to_a_lease_that_is_not_there(self) -> None:
        async def body(store: Store, prefix: bytes) -> None:
            with pytest.raises(LeaseNotFound):
                await store.put(prefix + b"a", b"", lease=ABSENT)
            with pytest.raises(LeaseNotFound):
                await store.keep_alive(ABSENT)
            assert await store.get(prefix + b"a") is None

        self.check(body)

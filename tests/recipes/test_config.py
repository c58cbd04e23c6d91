"""Shared configuration, the same on every engine."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import quorate
from quorate.errors import InvalidRequest, UnsupportedByEngine

from .test_claims import PATIENCE, clients

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


class Settings(msgspec.Struct, frozen=True):
    workers: int = 4
    mode: str = "fast"


def more(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, workers=settings.workers + 1)


def test_it_is_what_was_written_and_no_change_is_lost(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            configs = [client.config(name, Settings()) for client in (one, two)]
            assert await configs[0].get() == (Settings(), 0)
            await asyncio.gather(*(configs[each % 2].update(more) for each in range(8)))
            assert (await configs[1].get()).value == Settings(workers=12)
            revision = await configs[0].set(Settings(mode="safe"))
            assert await configs[1].get() == (Settings(mode="safe"), revision)

    asyncio.run(body())


def test_changes_are_heard_and_can_be_taken_back(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 2) as (one, two):
            config = one.config(name, Settings())
            changes = two.config(name, Settings()).changes()
            async with asyncio.timeout(PATIENCE):
                assert await anext(changes) == (Settings(), 0)
                good = await config.set(Settings(workers=8))
                assert await anext(changes) == (Settings(workers=8), good)
                await config.set(Settings(workers=0))
                assert (await anext(changes)).value.workers == 0
                if one.store.capabilities.past_revisions:
                    restored = await config.roll_back(good)
                    assert restored == (Settings(workers=8), restored.revision)
                    assert await anext(changes) == restored
                    assert await config.at(good) == (Settings(workers=8), good)
                else:
                    with pytest.raises(UnsupportedByEngine):
                        await config.roll_back(good)
                    assert (await config.get()).value.workers == 0
            await changes.aclose()

    asyncio.run(body())


def test_what_does_not_fit_is_not_written_and_not_read(url: str, name: str) -> None:
    async def body() -> None:
        async with clients(url, 1) as (client,):
            config = client.config(name, Settings())
            wrong: Any = Settings(workers="many")  # type: ignore[arg-type]  # the mistake under test
            with pytest.raises(InvalidRequest, match="nothing was written"):
                await config.set(wrong)
            assert (await config.get()).revision == 0
            await client.kv.put(f"{name}/config", '{"workers": []}')
            with pytest.raises(InvalidRequest, match="no Settings"):
                await config.get()
            with pytest.raises(InvalidRequest):
                client.config("", Settings())

    asyncio.run(body())


def test_the_blocking_face_has_the_same(url: str, name: str) -> None:
    with quorate.Client(url) as client:
        config = client.config(name, Settings())
        first = config.update(more)
        assert config.get() == first == (Settings(workers=5), first.revision)
        changes = config.changes()
        assert next(changes) == first
        second = config.set(Settings())
        assert next(changes) == (Settings(), second)
        if url.startswith("zookeeper"):
            with pytest.raises(UnsupportedByEngine):
                config.roll_back(first.revision)
        else:
            assert config.roll_back(first.revision).value == first.value
            assert config.at(first.revision) == first

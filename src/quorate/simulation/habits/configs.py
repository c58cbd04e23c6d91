"""A configuration that several change at once, and others follow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

from quorate.client.asynchronous import AsyncClient
from quorate.errors import Compacted
from quorate.recipes import Config
from quorate.simulation.checkers.configs import (
    AT,
    CONFIG,
    DRAFT,
    GET,
    KEY,
    ROLL_BACK,
    UPDATE,
    Settings,
)
from quorate.simulation.evidence import VersionsLog
from quorate.simulation.workload import TROUBLE, Habits


async def configurer(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Add a mark of one's own to the settings, and look at them, as they are and were."""
    caller = _Caller(habits, client, name)
    update = caller.update
    calls = (update, update, update, update, caller.get, caller.at, caller.take_back)
    while habits.go_on():
        await asyncio.sleep(chance.expovariate(2.0))
        call = chance.choice(calls)
        with suppress(*TROUBLE):
            async with asyncio.timeout(chance.choice((0.2, 20.0))):
                await call()


class _Caller:
    """One client's calls, and the revision that it last wrote."""

    def __init__(self, habits: Habits, client: AsyncClient, name: str) -> None:
        self._habits = habits
        self._name = name
        self._config: Config[Settings] = client.config(CONFIG, Settings())
        self._draft: Config[Settings] = client.config(DRAFT, Settings())
        self._revision = 0

    async def update(self) -> None:
        mark = self._habits.value().decode()

        def marked(seen: Settings) -> Settings:
            return Settings((*seen.marks, mark))

        with self._habits.calling(self._name, CONFIG, UPDATE) as call:
            call.told = (mark,)
            version = await self._config.update(marked)
            call.number = self._revision = version.revision

    async def get(self) -> None:
        with self._habits.calling(self._name, CONFIG, GET) as call:
            version = await self._config.get()
            call.number, call.told = version.revision, version.value.marks

    async def at(self) -> None:
        if not self._revision:
            return
        with suppress(Compacted), self._habits.calling(self._name, CONFIG, AT) as call:
            version = await self._config.at(self._revision)
            call.number, call.told = version.revision, version.value.marks

    async def take_back(self) -> None:
        """Write twice what is not for ever, and go back to the first of them."""
        first = await self._draft.set(Settings((self._habits.value().decode(),)))
        await self._draft.set(Settings((self._habits.value().decode(),)))
        with suppress(Compacted), self._habits.calling(self._name, DRAFT, ROLL_BACK) as call:
            version = await self._draft.roll_back(first)
            call.number, call.told = version.revision, (str(first), *version.value.marks)


async def configured(habits: Habits, client: AsyncClient, name: str, _chance: Random) -> None:
    """Follow the settings for ever; look again when that breaks off."""
    config = client.config(CONFIG, Settings())
    log = VersionsLog(name)

    def behind() -> str:
        newest = next(
            (each.revision for each in reversed(habits.evidence.changes) if each.kv.key == KEY), 0
        )
        told = log.versions[-1][0] if log.versions else -1
        return "" if told == newest else f"has seen the settings of {told}, and not of {newest}"

    habits.pending[name] = behind
    while True:
        log = VersionsLog(name, [])
        habits.evidence.versions.append(log)
        with suppress(*TROUBLE):
            async for version in config.changes():
                log.versions.append((version.revision, version.value.marks))
        await asyncio.sleep(0.1)

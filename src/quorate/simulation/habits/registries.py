"""A service: instances that register, are well or not, and others who pick them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from quorate.client.asynchronous import AsyncClient
from quorate.recipes import Instance, Registration
from quorate.simulation.checkers.groups import REGISTRY
from quorate.simulation.evidence import RegistrationLog
from quorate.simulation.habits.insisting import insist
from quorate.simulation.habits.presence import expect, follow_for_ever, look_for_ever
from quorate.simulation.workload import TROUBLE, Habits

TTL_SECONDS: Final = 2.0
CHECK_SECONDS: Final = 0.5
MARK: Final = "mark"


async def offerer(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Register, be well or not, say something else now and then, and leave; then stay."""
    registry = client.registry(REGISTRY, ttl=TTL_SECONDS)
    address = f"{name}:{len(name)}"
    held: list[str] = []
    habits.holding.setdefault(REGISTRY, {})[name] = held
    health = _Health(chance)

    while habits.go_on():
        await asyncio.sleep(chance.expovariate(2.0))
        with suppress(*TROUBLE):
            async with (
                asyncio.timeout(chance.choice((0.2, 20.0, 20.0))),
                registry.register(address, check=health.check, interval=CHECK_SECONDS) as own,
            ):
                watching = asyncio.ensure_future(_watch_oneself(habits, own, name, health))
                try:
                    for _ in range(chance.choice((1, 10, 60))):
                        health.well = chance.random() < 0.8
                        await asyncio.sleep(chance.expovariate(4.0))
                        if chance.random() < 0.3:
                            with suppress(*TROUBLE):
                                await own.update(metadata={MARK: habits.value().decode()})
                finally:
                    watching.cancel()
    health.well = True
    while True:
        with suppress(*TROUBLE):
            async with registry.register(
                address, check=health.check, interval=CHECK_SECONDS
            ) as own:
                await _stay(habits, own, held)


class _Health:
    """Whether an instance is well, and whether somebody may be withdrawing it."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.well = True
        self.doubtful = False

    async def check(self) -> bool:
        # If this comes too late, the instance is withdrawn whatever it says.
        self.doubtful = True
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.1, 0.7 * (not self.well))))
        self.doubtful = not self.well
        return self.well


async def _watch_oneself(habits: Habits, own: Registration, name: str, health: _Health) -> None:
    """Note when others see one, as far as one knows; look closely at how one comes back."""
    log = RegistrationLog(name, own.id, [])
    habits.evidence.registrations.append(log)
    while True:
        if own.registered and not health.doubtful:
            log.moments.append(habits.scheduler.now)
        await asyncio.sleep(health.chance.expovariate(10.0 if own.registered else 400.0))


async def _stay(habits: Habits, own: Registration, held: list[str]) -> None:
    metadata = {MARK: habits.value().decode()}
    held.append(f"{own.id} {metadata[MARK]}")
    await insist(lambda: own.update(metadata=metadata))
    await asyncio.Event().wait()


async def picker(habits: Habits, client: AsyncClient, name: str, chance: Random) -> None:
    """Read who is there, again and again, beside a view that picks."""
    registry = client.registry(REGISTRY, ttl=TTL_SECONDS)
    while True:
        with suppress(*TROUBLE):
            async with registry.view() as view:
                expect(habits, REGISTRY, name, lambda: [_named(each) for each in view.instances])
                await look_for_ever(habits, REGISTRY, name, chance, registry.instances)


async def directory(habits: Habits, client: AsyncClient, name: str, _chance: Random) -> None:
    """Follow the changes for ever; begin anew when that breaks off."""
    registry = client.registry(REGISTRY, ttl=TTL_SECONDS)
    await follow_for_ever(habits, REGISTRY, name, registry.changes, _named)


def _named(instance: Instance) -> str:
    return f"{instance.id} {instance.metadata.get(MARK, '')}"

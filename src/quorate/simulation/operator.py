"""The operator of a simulated cluster: hands leadership over, compacts, replaces members.

One thing at a time, with the commands that a person has, from a machine of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from quorate.engines.cluster import ClusterStore
from quorate.errors import QuorateError
from quorate.protocol.raft.configuration import AddLearner, Member, Promote, Remove
from quorate.simulation.disk import VirtualFiles
from quorate.simulation.nodes import Machine
from quorate.simulation.process import Process

if TYPE_CHECKING:
    from quorate.simulation.world import World

PATIENCE_SECONDS: Final = 5.0


class Operator:
    """Somebody with `quorate member` and `quorate kv` at hand."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.process = Process(world.network, "operator", 1, VirtualFiles())
        self._queue: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._next_member = 0
        self.replacing = False
        self.process.start(self._work())

    def transfer(self, target: int) -> None:
        """Ask the leader to hand over."""
        self._ask(partial(self._transfer, target))

    def compact(self, strength: float) -> None:
        """Forget part of the history."""
        self._ask(partial(self._compact, strength))

    def replace(self, machine: Machine) -> None:
        """Put a new, empty machine in the place of this one."""
        standing = self._world.standing()
        broken = [each for each in standing if each.damaged and each is not machine]
        # Without this one and a broken one there would be no majority left.
        if not self.replacing and len(standing) >= 3 and not broken:
            self.replacing = True
            self._ask(partial(self._replace, machine))

    def _ask(self, work: Callable[[], Awaitable[None]]) -> None:
        self.process.loop.enter(self._queue.put_nowait, work)

    async def _work(self) -> None:
        while True:
            work = await self._queue.get()
            try:
                await work()
            except QuorateError as error:
                self._world.note(f"the operator gives up: {type(error).__name__}")

    def _store(self) -> ClusterStore:
        addresses = [machine.address for machine in self._world.standing()]
        return ClusterStore(addresses, timeout=PATIENCE_SECONDS, ports=self.process.ports)

    async def _transfer(self, target: int) -> None:
        store = self._store()
        try:
            members = (await store.members()).members
            await store.transfer_leadership(members[target % len(members)].id)
        finally:
            await store.close()

    async def _compact(self, strength: float) -> None:
        store = self._store()
        try:
            revision = (await store.status()).revision
            await store.compact(max(1, int(revision * (0.5 + strength / 2))))
        finally:
            await store.close()

    async def _replace(self, machine: Machine) -> None:
        store = self._store()
        try:
            await self._replace_with(store, machine)
        finally:
            self.replacing = False
            await store.close()

    async def _replace_with(self, store: ClusterStore, machine: Machine) -> None:
        members = (await store.members()).members
        leaving = next((each for each in members if each.name == machine.name), None)
        if leaving is not None:
            await _until_done(store, Remove(leaving.id), lambda names: machine.name not in names)
        self._world.note(f"{machine.name} was removed")
        machine.wanted = False
        machine.kill()
        self._world.forget(machine)
        self._next_member += 1
        fresh = self._world.new_machine(f"r{self._next_member}")
        identifier = 1000 + self._next_member
        member = Member(identifier, fresh.name, fresh.address)
        await _until_done(store, AddLearner(member), lambda names: fresh.name in names)
        fresh.start()
        await self._caught_up(store, fresh)
        await _until_done(
            store, Promote(identifier), lambda names: names.get(fresh.name) == "voter"
        )
        self._world.note(f"{fresh.name} votes")

    async def _caught_up(self, store: ClusterStore, fresh: Machine) -> None:
        wanted = (await store.status()).applied_index
        while True:
            node = fresh.node
            if fresh.serving and node is not None and node.applied_index >= wanted:
                return
            fresh.start()
            await asyncio.sleep(0.1)


async def _until_done(store: ClusterStore, change: Any, done: Any) -> None:
    """Make a change of members, whatever happens in between; look before trying again."""
    while True:
        try:
            await store.change_members(change)
        except QuorateError:
            await asyncio.sleep(0.3)
        while True:
            try:
                members = (await store.members()).members
            except QuorateError:
                await asyncio.sleep(0.3)
                continue
            break
        if done({each.name: each.part for each in members}):
            return
        await asyncio.sleep(0.1)

"""What happens between two reads of one recipe is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from quorate.engines.memory import MemoryStore
from quorate.recipes import Group, LeaseKeeper, Queue, queues
from quorate.recipes.claim import Turns, Workshop
from quorate.runtime.scope import TaskScope
from quorate.runtime.world import RealClock
from quorate.store.types import (
    CommitResult,
    Compare,
    Operation,
    Range,
    RangeResult,
    ReadConsistency,
)

PATIENCE = 10.0


class Interrupted(MemoryStore):
    """A store in which something happens right before one of the reads to come."""

    def __init__(self) -> None:
        super().__init__()
        self.interruption: Callable[[Range], Awaitable[bool]] | None = None

    async def range(
        self, query: Range, *, consistency: ReadConsistency = ReadConsistency.LINEARIZABLE
    ) -> RangeResult:
        if self.interruption is not None and await self.interruption(query):
            self.interruption = None
        return await super().range(query, consistency=consistency)


class Overtaken(MemoryStore):
    """A store in which others come first, right before the commit that is next."""

    def __init__(self) -> None:
        super().__init__()
        self.others: Callable[[], Awaitable[None]] | None = None

    async def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
    ) -> CommitResult:
        others, self.others = self.others, None
        if others is not None:
            await others()
        return await super().commit(when=when, then=then, otherwise=otherwise)


def workshop_on(store: MemoryStore) -> Workshop:
    errors: list[BaseException] = []
    scope = TaskScope(lambda _, error: errors.append(error))
    clock = RealClock()
    return Workshop(store, LeaseKeeper(store, clock, scope), Turns(), scope, clock)


def test_an_element_that_comes_back_while_later_ones_are_looked_at_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queues, "LOOK", 1)

    async def body() -> None:
        store = Interrupted()
        queue = Queue(workshop_on(store), "q")
        await queue.put("first")
        await queue.put("second")
        first, second = queue.take(), queue.take()
        await first.__aenter__()
        await second.__aenter__()
        elements = (await store.range(Range(b"q/elements/", b"q/elements0"))).items

        async def give_back(query: Range) -> bool:
            if query.start <= elements[0].key or not query.start.startswith(b"q/elements/"):
                return False
            claim = elements[0].key.replace(b"/elements/", b"/claims/")
            await store.delete(claim)
            return True

        store.interruption = give_back
        async with asyncio.timeout(PATIENCE), Queue(workshop_on(store), "q").take() as again:
            assert again.value == b"first"

    asyncio.run(body())


@pytest.mark.parametrize("overtakers", range(queues.TRIES + 2))
def test_a_taker_that_was_overtaken_since_it_looked_takes_the_next(overtakers: int) -> None:
    async def body() -> None:
        store = Overtaken()
        queue = Queue(workshop_on(store), "q")
        elements = queues.TRIES + 2
        for number in range(elements):
            await queue.put(str(number))
        first = [Queue(workshop_on(store), "q").take() for _ in range(overtakers)]

        async def overtake() -> None:
            for taking in first:
                await taking.__aenter__()

        store.others = overtake
        async with asyncio.timeout(PATIENCE), queue.take() as element:
            assert element.value == str(overtakers).encode()
        for taking in first:
            await taking.__aexit__(None, None, None)
        assert await queue.size() == elements - overtakers - 1

    asyncio.run(body())


def test_a_view_has_no_member_that_left_as_it_began() -> None:
    async def body() -> None:
        store = Interrupted()
        await store.put(b"g/members/ghost", b"")
        group = Group(workshop_on(store), "g")
        async with group.view() as view:
            assert [member.id for member in view.members] == ["ghost"]

            async def leave(_: Range) -> bool:
                await store.delete(b"g/members/ghost")
                return True

            store.interruption = leave
            async with asyncio.timeout(PATIENCE):
                while view.members:  # noqa: ASYNC110  it follows by itself
                    await asyncio.sleep(0.01)

    asyncio.run(body())

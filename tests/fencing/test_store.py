"""The fence in the Store: shared by all, and never wrong about a token, whatever is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

import quorate
from quorate import OutcomeUnknown, QuorateError, StaleToken
from quorate.engines.memory import MemoryStore
from quorate.fencing import StoreFence
from quorate.store.types import CommitResult, Compare, Operation
from quorate.testing import FaultKind, simulate

ROUNDS = 40


class Troubled(MemoryStore):
    """A store whose commits meet another's commit, or lose their answers."""

    def __init__(self) -> None:
        super().__init__()
        self.first: tuple[str, int] | None = None
        self.lose_answers = False

    async def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
    ) -> CommitResult:
        if self.first is not None:
            meanwhile, self.first = self.first, None
            await StoreFence(self).admit(*meanwhile)
        result = await super().commit(when=when, then=then, otherwise=otherwise)
        if self.lose_answers:
            raise OutcomeUnknown("the answer was lost")
        return result


def test_processes_share_it_and_it_outlives_them() -> None:
    async def body() -> None:
        store = MemoryStore()
        await StoreFence(store).admit("ledger", 8)
        with pytest.raises(StaleToken, match="it has seen 8"):
            await StoreFence(store).admit("ledger", 5)
        await StoreFence(store, "others").admit("ledger", 5)

    asyncio.run(body())


def test_a_token_that_a_newer_one_overtakes_on_its_way_is_refused() -> None:
    async def body() -> None:
        store = Troubled()
        for resource, before in (("new", 0), ("known", 3)):
            if before:
                await StoreFence(store).admit(resource, before)
            store.first = (resource, 8)
            with pytest.raises(StaleToken, match="it has seen 8"):
                await StoreFence(store).admit(resource, 5)
            store.first = (resource, 9)
            await StoreFence(store).admit(resource, 10)

    asyncio.run(body())


def test_a_lost_answer_lets_nobody_in_and_lower_tokens_are_refused_from_then_on() -> None:
    async def body() -> None:
        store = Troubled()
        fence = StoreFence(store)
        store.lose_answers = True
        with pytest.raises(OutcomeUnknown):
            await fence.admit("ledger", 8)
        store.lose_answers = False
        with pytest.raises(StaleToken):
            await fence.admit("ledger", 5)
        await fence.admit("ledger", 8)

    asyncio.run(body())


@pytest.mark.parametrize("seed", range(5))
def test_no_token_is_let_in_after_a_newer_one_whatever_the_network_and_the_disks_do(
    seed: int,
) -> None:
    """Holders write with tokens of today and of long ago, as those do who slept."""
    admitted: list[int] = []
    refused: list[int] = []
    known = [1]

    async def hold(client: quorate.AsyncClient) -> None:
        chance = Random(seed)
        fence = StoreFence(client.store)
        for _ in range(ROUNDS):
            # What goes wrong goes on for seconds.
            await asyncio.sleep(chance.random())
            try:
                async with client.lock("ledger", ttl=2) as held:
                    known.append(held.token)
                for token in (held.token, chance.choice(known[-4:])):
                    highest = max(admitted, default=0)
                    await fence.admit("ledger", token)
                    assert token >= highest, f"{token} was let in after {highest}"
                    admitted.append(token)
            except StaleToken as error:
                refused.append(error.token)
            except QuorateError:
                continue

    faults = (FaultKind.POWER, FaultKind.PARTITION, FaultKind.LOSS, FaultKind.CLIENT_PAUSE)
    simulate(hold, hold, seeds=[seed], faults=faults)
    assert admitted
    assert refused

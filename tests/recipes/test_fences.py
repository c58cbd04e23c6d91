"""A fence in the Store refuses stale tokens for all clients, on every engine."""

from __future__ import annotations

import asyncio

import pytest

import quorate
from quorate import StaleToken
from quorate.fencing import StoreFence

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
TOKENS = 10


def test_of_tokens_that_come_at_once_none_is_let_in_after_a_higher_one(url: str, name: str) -> None:
    async def body() -> None:
        async with quorate.AsyncClient(url) as one, quorate.AsyncClient(url) as two:
            fences = [StoreFence(one.store), StoreFence(two.store)]
            highest = 0

            async def come(token: int) -> bool:
                nonlocal highest
                before = highest
                try:
                    await fences[token % 2].admit(name, token)
                except StaleToken as error:
                    return error.highest > token
                assert token >= before
                highest = max(highest, token)
                return True

            tokens = [1 + number * 7 % TOKENS for number in range(TOKENS)]
            assert all(await asyncio.gather(*(come(token) for token in tokens)))
            assert highest == TOKENS
            with pytest.raises(StaleToken, match=f"it has seen {TOKENS}"):
                await fences[0].admit(name, TOKENS - 1)
            await fences[1].admit(name, TOKENS)

    asyncio.run(body())

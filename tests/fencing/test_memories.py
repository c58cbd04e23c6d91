"""What each guard remembers: a token is let in unless it is below the highest one so far."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from quorate import InvalidRequest, StaleToken
from quorate.engines.memory import MemoryStore
from quorate.fencing import Fence, MemoryFence, SqlFence, StoreFence, fenced_write
from quorate.fencing.fence import TOKEN_MAX
from quorate.fencing.sqlalchemy import SqlAlchemyFence

Admit = Callable[[str, int], None]


@contextmanager
def on_a_loop(fence: Fence) -> Iterator[Admit]:
    with asyncio.Runner() as runner:
        yield lambda resource, token: runner.run(fence.admit(resource, token))


def in_memory() -> AbstractContextManager[Admit]:
    return on_a_loop(MemoryFence())


def in_the_store() -> AbstractContextManager[Admit]:
    return on_a_loop(StoreFence(MemoryStore()))


@contextmanager
def in_sqlite() -> Iterator[Admit]:
    fence = SqlFence("sqlite", paramstyle=sqlite3.paramstyle)
    with closing(sqlite3.connect(":memory:")) as connection:
        fence.create(connection.cursor())

        def admit(resource: str, token: int) -> None:
            with connection:
                fence.check(connection.cursor(), resource, token)

        yield admit


@contextmanager
def in_sqlalchemy() -> Iterator[Admit]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    fence = SqlAlchemyFence()
    with engine.begin() as connection:
        fence.create(connection)

    def admit(resource: str, token: int) -> None:
        with engine.begin() as connection:
            fence.check(connection, resource, token)

    yield admit
    engine.dispose()


@contextmanager
def beside_a_file() -> Iterator[Admit]:
    with tempfile.TemporaryDirectory() as directory:

        def admit(resource: str, token: int) -> None:
            path = Path(directory) / resource
            fenced_write(path, b"written with %d" % token, token)
            assert path.read_bytes() == b"written with %d" % token

        yield admit


GUARDS = [in_memory, in_the_store, in_sqlite, in_sqlalchemy, beside_a_file]
tokens = st.one_of(st.integers(1, 6), st.integers(1, TOKEN_MAX))


@pytest.mark.parametrize("guard", GUARDS)
@settings(max_examples=30, deadline=None)
@given(given_tokens=st.lists(st.tuples(st.sampled_from("ab"), tokens), max_size=12))
def test_a_token_is_let_in_unless_it_is_below_the_highest_one_let_in_before(
    guard: Callable[[], AbstractContextManager[Admit]], given_tokens: list[tuple[str, int]]
) -> None:
    highest = {"a": 0, "b": 0}
    with guard() as admit:
        for resource, token in given_tokens:
            if token >= highest[resource]:
                admit(resource, token)
                highest[resource] = token
            else:
                with pytest.raises(StaleToken) as refused:
                    admit(resource, token)
                assert refused.value.token == token
                assert refused.value.highest == highest[resource]
                assert str(highest[resource]) in str(refused.value)


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("token", [0, -1, TOKEN_MAX + 1])
def test_a_number_that_no_lock_gives_is_no_token(
    guard: Callable[[], AbstractContextManager[Admit]], token: int
) -> None:
    with guard() as admit, pytest.raises(InvalidRequest, match="token"):
        admit("a", token)


@pytest.mark.parametrize("guard", [in_memory, in_the_store, in_sqlite, in_sqlalchemy])
@pytest.mark.parametrize("resource", ["", "a" * 256, "a\x00b"])
def test_a_resource_has_a_name_that_every_memory_can_keep(
    guard: Callable[[], AbstractContextManager[Admit]], resource: str
) -> None:
    with guard() as admit, pytest.raises(InvalidRequest, match="name"):
        admit(resource, 1)

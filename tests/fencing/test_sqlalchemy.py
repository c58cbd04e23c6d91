"""The guard of a database, inside the transactions of SQLAlchemy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from quorate import ConfigurationError, InvalidRequest, StaleToken
from quorate.fencing.sqlalchemy import SqlAlchemyFence

FENCE = SqlAlchemyFence()
WRITE = text("INSERT INTO ledger VALUES (:token)")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path}/ledger")
    with made.begin() as connection:
        FENCE.create(connection)
        connection.execute(text("CREATE TABLE ledger (token INTEGER NOT NULL)"))
    yield made
    made.dispose()


def write_and_check(connection: Connection | Session, token: int) -> None:
    connection.execute(WRITE, {"token": token})
    FENCE.check(connection, "ledger", token)


def written(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT token FROM ledger ORDER BY rowid")).scalars())


def test_a_connection_writes_with_the_highest_token_only(engine: Engine) -> None:
    for token in (5, 8, 8):
        with engine.begin() as connection:
            FENCE.check(connection, "ledger", token)
            connection.execute(WRITE, {"token": token})
    with pytest.raises(StaleToken, match="it has seen 8"), engine.begin() as connection:
        write_and_check(connection, 5)
    assert written(engine) == [5, 8, 8]


def test_a_session_does_too(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        FENCE.check(session, "ledger", 8)
        session.execute(WRITE, {"token": 8})
    with pytest.raises(StaleToken), Session(engine) as session, session.begin():
        write_and_check(session, 5)
    assert written(engine) == [8]


def test_so_do_their_async_kin(engine: Engine) -> None:
    async def body() -> None:
        waiting = create_async_engine(str(engine.url).replace("sqlite:", "sqlite+aiosqlite:"))
        async with waiting.begin() as connection:
            await connection.run_sync(FENCE.check, "ledger", 8)
            await connection.execute(WRITE, {"token": 8})
        async with AsyncSession(waiting) as session:
            with pytest.raises(StaleToken):
                await session.run_sync(write_and_check, 5)
        await waiting.dispose()

    asyncio.run(body())
    assert written(engine) == [8]


def test_a_connection_in_autocommit_is_refused_since_a_check_there_guards_nothing(
    engine: Engine,
) -> None:
    careless = engine.execution_options(isolation_level="AUTOCOMMIT")
    with careless.connect() as connection, pytest.raises(InvalidRequest, match="autocommit"):
        FENCE.check(connection, "ledger", 5)


def test_a_table_has_a_name() -> None:
    with pytest.raises(ConfigurationError, match="letters"):
        SqlAlchemyFence("fences; DROP TABLE ledger")

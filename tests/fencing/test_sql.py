"""The guard of a database, on a real one: what it lets in, what waits, what is rolled back."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from quorate import ConfigurationError, InvalidRequest, StaleToken
from quorate.fencing import SqlFence
from quorate.fencing.sql import PLACEHOLDERS
from quorate.fencing.statements import DIALECTS, statements_of

FENCE = SqlFence("sqlite", paramstyle=sqlite3.paramstyle)
Connect = Callable[..., sqlite3.Connection]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """More connections to one database with a ledger in it."""
    with ExitStack() as stack:

        def open_one(**settings: object) -> sqlite3.Connection:
            # Without patience: who would wait is told at once.
            arguments = {"timeout": 0, **settings}
            connection = sqlite3.connect(tmp_path / "ledger", **arguments)  # type: ignore[call-overload]  # settings are the test's
            stack.enter_context(closing(connection))
            return connection  # type: ignore[no-any-return]  # from the overload above

        first = open_one()
        with first:
            first.execute("PRAGMA journal_mode=WAL")
            FENCE.create(first.cursor())
            FENCE.create(first.cursor())
            first.execute("CREATE TABLE ledger (entry TEXT NOT NULL, token INTEGER NOT NULL)")
        yield open_one


def write(connection: sqlite3.Connection, token: int, entry: str = "") -> None:
    FENCE.check(connection.cursor(), "ledger", token)
    connection.execute("INSERT INTO ledger VALUES (?, ?)", (entry, token))


def entries(connection: sqlite3.Connection) -> list[str]:
    return [entry for (entry,) in connection.execute("SELECT entry FROM ledger ORDER BY rowid")]


def test_a_holder_that_slept_writes_nothing(connect: Connect) -> None:
    sleeper, later = connect(), connect()
    with sleeper:
        write(sleeper, 5, "before its sleep")
    with later:
        write(later, 8, "of the next holder")
    sleeper.execute("INSERT INTO ledger VALUES ('even before the check', 5)")
    with pytest.raises(StaleToken, match="it has seen 8"), sleeper:
        write(sleeper, 5, "after its sleep")
    assert entries(later) == ["before its sleep", "of the next holder"]


def test_a_token_whose_transaction_is_rolled_back_was_never_seen(connect: Connect) -> None:
    one, two = connect(), connect()
    write(one, 8)
    one.rollback()
    with two:
        write(two, 5, "the only one")
    assert entries(two) == ["the only one"]


def test_a_check_waits_for_the_open_transaction_of_another(connect: Connect) -> None:
    older, newer = connect(), connect()
    write(older, 5, "older")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write(newer, 8, "newer")
    newer.rollback()
    older.commit()
    with newer:
        write(newer, 8, "newer")
    assert entries(newer) == ["older", "newer"]


def test_a_transaction_that_read_before_a_later_holder_wrote_lets_nothing_in(
    connect: Connect,
) -> None:
    sleeper, later = connect(), connect()
    sleeper.execute("BEGIN")
    assert entries(sleeper) == []
    with later:
        write(later, 8)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write(sleeper, 5)
    sleeper.rollback()
    with pytest.raises(StaleToken), sleeper:
        write(sleeper, 5)


def test_a_check_outside_a_transaction_is_refused_since_it_guards_nothing(
    connect: Connect,
) -> None:
    connection = connect(isolation_level=None)
    with pytest.raises(InvalidRequest, match="autocommit"):
        write(connection, 5)
    connection.execute("BEGIN")
    write(connection, 5)
    connection.execute("COMMIT")
    assert len(entries(connection)) == 1


def test_tokens_never_fall_in_the_order_of_commits_however_many_write_at_once(
    connect: Connect,
) -> None:
    connections = [connect(timeout=60, check_same_thread=False) for _ in range(6)]
    start = threading.Barrier(len(connections))
    refused: list[int] = []

    def work(number: int, connection: sqlite3.Connection) -> None:
        start.wait()
        for token in range(number + 1, 60, 1 + number % 3):
            try:
                with connection:
                    write(connection, token)
            except StaleToken:
                refused.append(token)

    threads = [threading.Thread(target=work, args=each) for each in enumerate(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = [token for (token,) in connect().execute("SELECT token FROM ledger ORDER BY rowid")]
    assert written == sorted(written)
    assert len(written) + len(refused) == sum(
        len(range(number + 1, 60, 1 + number % 3)) for number in range(len(connections))
    )


@pytest.mark.parametrize("paramstyle", ["qmark", "named"])
def test_parameters_are_written_as_the_driver_wants(connect: Connect, paramstyle: str) -> None:
    fence, connection = SqlFence("sqlite", paramstyle=paramstyle), connect()
    with connection:
        fence.check(connection.cursor(), "it's", 5)
    with pytest.raises(StaleToken, match="it's"), connection:
        fence.check(connection.cursor(), "it's", 4)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("paramstyle", PLACEHOLDERS)
def test_every_statement_is_filled_in(dialect: str, paramstyle: str) -> None:
    resource, token = PLACEHOLDERS[paramstyle]
    create, lift, read = statements_of(dialect).filled("guards.fences", resource, token)
    assert all("guards.fences" in each for each in (create, lift, read))
    assert not set("{}") & set(create + lift + read)
    assert lift.count(resource) >= 1
    assert lift.index(resource) <= lift.rindex(token)
    assert read.count(resource) == 1


def test_rows_may_come_as_dictionaries(connect: Connect) -> None:
    connection = connect()
    connection.row_factory = lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }
    with connection:
        write(connection, 5)
    with pytest.raises(StaleToken), connection:
        write(connection, 4)


@pytest.mark.parametrize(
    ("dialect", "paramstyle", "table"),
    [
        ("oracle", "qmark", "fences"),
        ("sqlite", "dollar", "fences"),
        ("sqlite", "qmark", "fences; DROP TABLE ledger"),
    ],
)
def test_what_it_does_not_know_it_says_at_once(dialect: str, paramstyle: str, table: str) -> None:
    with pytest.raises(ConfigurationError):
        SqlFence(dialect, paramstyle=paramstyle, table=table)

"""The guard of a database, for SQLAlchemy: `pip install 'quorate[sqlalchemy]'`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, text
from sqlalchemy.orm import Session

from quorate.fencing.fence import check_names
from quorate.fencing.sql import judge
from quorate.fencing.statements import TABLE, statements_of

RESOURCE: Final = ":resource"
TOKEN: Final = ":token"  # noqa: S105  a placeholder


class SqlAlchemyFence:
    """Fences in a table of the database that is guarded.

    `check` takes a `Connection` or a `Session`; with their async kin it is
    `await session.run_sync(fence.check, resource, token)`.
    """

    def __init__(self, table: str = TABLE) -> None:
        statements_of("sqlite").filled(table, RESOURCE, TOKEN)
        self._table = table

    def create(self, connection: Connection | Session) -> None:
        """Make the table if it is not there. MariaDB and MySQL end an open transaction by it."""
        connection, dialect = _opened(connection)
        connection.execute(text(statements_of(dialect).filled(self._table, RESOURCE, TOKEN).create))

    def check(self, connection: Connection | Session, resource: str, token: int) -> None:
        """Let a token in for the rest of the open transaction, before the guarded writes.

        Until it ends, a check of the same resource elsewhere waits. Raises StaleToken when a
        higher token was let in before: roll back, and stop. Raises InvalidRequest on a
        connection in autocommit. What SQLAlchemy raises (a deadlock, a serialization failure, a
        busy database) says that nothing was let in: roll back, and try the transaction again.
        """
        check_names(resource, token)
        connection, dialect = _opened(connection)
        statements = statements_of(dialect).filled(self._table, RESOURCE, TOKEN)
        # Some drivers are told the type, and a plain number would be one of 32 bits.
        lift = text(statements.lift).bindparams(bindparam("token", type_=BigInteger))
        connection.execute(lift, {"resource": resource, "token": token})
        highest, is_open = connection.execute(text(statements.read), {"resource": resource}).one()
        if dialect == "sqlite":
            driver = connection.connection.driver_connection
            is_open = driver is not None and driver.in_transaction
        judge(resource, token, highest=highest, is_open=is_open)


def _opened(connection: Connection | Session) -> tuple[Connection, str]:
    if isinstance(connection, Session):
        connection = connection.connection()
    dialect = connection.dialect
    # One dialect of SQLAlchemy speaks to both, and knows which one it has met.
    is_mariadb = getattr(dialect, "is_mariadb", False)
    return connection, "mariadb" if is_mariadb else dialect.name

"""The guard of a database, for every DB-API 2.0 driver: a check inside one's own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from quorate.errors import ConfigurationError, InvalidRequest, StaleToken
from quorate.fencing.fence import check_names
from quorate.fencing.statements import TABLE, statements_of

PLACEHOLDERS: Final[dict[str, tuple[str, str]]] = {
    "qmark": ("?", "?"),
    "numeric": (":1", ":2"),
    "named": (":resource", ":token"),
    "format": ("%s", "%s"),
    "pyformat": ("%(resource)s", "%(token)s"),
}
"""How a driver writes the resource and the token."""


class Cursor(Protocol):
    """What every DB-API 2.0 cursor has."""

    @property
    def connection(self) -> Any:
        """The connection that the cursor belongs to."""

    def execute(self, operation: Any, parameters: Any = ..., /) -> Any:
        """Run a statement."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""


class SqlFence:
    """Fences in a table of the database that is guarded.

    `dialect` is one of sqlite, postgresql, mariadb and mysql, `paramstyle` what the driver's
    module says of itself (`psycopg.paramstyle`). Raises ConfigurationError for others.
    """

    def __init__(self, dialect: str, *, paramstyle: str, table: str = TABLE) -> None:
        if paramstyle not in PLACEHOLDERS:
            raise ConfigurationError(
                f"{paramstyle!r} is no paramstyle: it is one of {', '.join(PLACEHOLDERS)}"
            )
        resource, token = PLACEHOLDERS[paramstyle]
        self._statements = statements_of(dialect).filled(table, resource, token)
        self._by_name = paramstyle in {"named", "pyformat"}
        self._in_sqlite = dialect == "sqlite"

    def create(self, cursor: Cursor) -> None:
        """Make the table if it is not there. MariaDB and MySQL end an open transaction by it."""
        cursor.execute(self._statements.create)

    def check(self, cursor: Cursor, resource: str, token: int) -> None:
        """Let a token in for the rest of the open transaction, before the guarded writes.

        Until it ends, a check of the same resource elsewhere waits. Raises StaleToken when a
        higher token was let in before: roll back, and stop. Raises InvalidRequest outside a
        transaction. What the driver raises (a deadlock, a serialization failure, a busy
        database) says that nothing was let in: roll back, and try the transaction again.
        """
        check_names(resource, token)
        cursor.execute(self._statements.lift, self._parameters(resource=resource, token=token))
        cursor.execute(self._statements.read, self._parameters(resource=resource))
        row = cursor.fetchone()
        highest, is_open = row.values() if isinstance(row, Mapping) else row
        if self._in_sqlite:
            is_open = cursor.connection.in_transaction
        judge(resource, token, highest=highest, is_open=is_open)

    def _parameters(self, **values: str | int) -> Any:
        return values if self._by_name else tuple(values.values())


def judge(resource: str, token: int, *, highest: int, is_open: object) -> None:
    """Raise StaleToken or InvalidRequest after a fence was raised and read."""
    if token < highest:
        raise StaleToken(resource, token, highest)
    if not is_open:
        raise InvalidRequest(
            f"the fence of {resource!r} was checked outside a transaction, which guards nothing: "
            "begin one (no autocommit), check in it, write in it, commit"
        )

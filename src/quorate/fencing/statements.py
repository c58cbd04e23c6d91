"""What a fence says to a database: one small table of statements.

Every dialect does the same in two statements. The first raises the fence and never lowers it:
a first token is inserted, an older row becomes the greater of both; either way the row is
locked until the transaction ends. The second reads what it came to. The token was let in if
that is the token itself. No row count decides, since drivers count rows that did not change
differently.

The second one also tells whether the transaction of the first is still open: outside of one the
lock is gone already, and the guarded write would stand alone.

What concurrency does to it:

- PostgreSQL, READ COMMITTED: the first statement waits for another's row and then sees it as it
  was committed. REPEATABLE READ and above: it fails with a serialization error if the row changed
  since the transaction's snapshot. The second sees the row that the first has locked.
- MariaDB and MySQL, every level: the first statement changes the newest row, not the snapshot's;
  the second has to say FOR UPDATE, since a plain read would see the snapshot's.
- SQLite: the first statement takes the one write lock of the file; a transaction that had read
  before another's commit gets SQLITE_BUSY.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from quorate.errors import ConfigurationError

TABLE: Final = "quorate_fences"
TABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")


class Statements(NamedTuple):
    """A dialect's statements, with {table}, {resource} and {token} to be filled in."""

    create: str
    lift: str
    read: str

    def filled(self, table: str, resource: str, token: str) -> Statements:
        """Return them with a table's name and the driver's two placeholders."""
        if not TABLE_NAME.fullmatch(table):
            raise ConfigurationError(
                f"{table!r} is no name for a table of fences: use letters, digits and _, with "
                "the schema before a dot if there is one"
            )
        return Statements(
            *(part.format(table=table, resource=resource, token=token) for part in self)
        )


_MYSQL_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS {table} ("
    "resource VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, "
    "token BIGINT NOT NULL) ENGINE=InnoDB"
)
_MYSQL_LIFT: Final = (
    "INSERT INTO {table} (resource, token) VALUES ({resource}, {token}) "
    "ON DUPLICATE KEY UPDATE token = GREATEST(token, VALUES(token))"
)
DIALECTS: Final[dict[str, Statements]] = {
    "sqlite": Statements(
        create="CREATE TABLE IF NOT EXISTS {table} "
        "(resource TEXT NOT NULL PRIMARY KEY, token INTEGER NOT NULL)",
        lift="INSERT INTO {table} AS fence (resource, token) VALUES ({resource}, {token}) "
        "ON CONFLICT (resource) DO UPDATE SET token = MAX(fence.token, excluded.token)",
        # Its driver tells about transactions, the database does not.
        read="SELECT token, 1 FROM {table} WHERE resource = {resource}",
    ),
    "postgresql": Statements(
        create="CREATE TABLE IF NOT EXISTS {table} "
        "(resource TEXT NOT NULL PRIMARY KEY, token BIGINT NOT NULL)",
        lift="INSERT INTO {table} AS fence (resource, token) VALUES ({resource}, {token}) "
        "ON CONFLICT (resource) DO UPDATE SET token = GREATEST(fence.token, excluded.token)",
        read="SELECT token, txid_current_if_assigned() IS NOT NULL "
        "FROM {table} WHERE resource = {resource}",
    ),
    "mariadb": Statements(
        create=_MYSQL_CREATE,
        lift=_MYSQL_LIFT,
        read="SELECT token, @@in_transaction FROM {table} WHERE resource = {resource} FOR UPDATE",
    ),
    "mysql": Statements(
        create=_MYSQL_CREATE,
        lift=_MYSQL_LIFT,
        # MySQL has no word for whether a transaction is open.
        read="SELECT token, 1 FROM {table} WHERE resource = {resource} FOR UPDATE",
    ),
}


def statements_of(dialect: str) -> Statements:
    """Return a dialect's statements; raises ConfigurationError for one that has none."""
    try:
        return DIALECTS[dialect]
    except KeyError:
        raise ConfigurationError(
            f"there is no fence for the SQL dialect {dialect!r}: it is one of {', '.join(DIALECTS)}"
        ) from None

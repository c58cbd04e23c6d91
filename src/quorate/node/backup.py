"""Backups on their way to clients: a few slices at a time, as fast as each client takes them.

Law: a backup never fills a connection's queue and never holds up the loop for more than a few
slices. One that its client no longer takes is ended, because until then the machine keeps
every version that the backup may still want.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from quorate.kv.requests import SnapshotPart, encode
from quorate.runtime.transport.connection import Connection

TURN_BYTES: Final = 1024 * 1024
"""So much is sent in one turn of the loop: what is sent only counts as queued after it."""
STALLED_SECONDS: Final = 60.0


class Backup:
    """One capture of the machine on its way."""

    def __init__(self, request: int, chunks: Iterator[bytes]) -> None:
        self.request = request
        self.chunks = chunks
        self.next_turn: asyncio.Handle | None = None
        self.deadline: asyncio.TimerHandle | None = None
        self.sent = 0

    def close(self) -> None:
        """Let go of everything, so that the machine need not keep what the capture pinned."""
        for handle in (self.next_turn, self.deadline):
            if handle is not None:
                handle.cancel()
        self.next_turn = self.deadline = None


class Backups:
    """The backups under way, at most one per connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._backups: dict[Connection, Backup] = {}

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._backups

    def begin(self, connection: Connection, request: int, chunks: Iterator[bytes]) -> None:
        """Send the chunks of a capture as the answer to `request`, then an empty part."""
        backup = self._backups[connection] = Backup(request, chunks)
        self._watch(connection, backup)
        self.go_on(connection)

    def go_on(self, connection: Connection) -> None:
        """Send what the connection takes now; nothing when it has no backup under way."""
        backup = self._backups.get(connection)
        if backup is None or backup.next_turn is not None:
            return
        room = TURN_BYTES
        while connection.writable and room > 0:
            chunk = next(backup.chunks, b"")
            connection.send(encode(SnapshotPart(backup.request, chunk)))
            if not chunk:
                self.end(connection)
                return
            room -= len(chunk)
        backup.sent += TURN_BYTES - room
        if connection.writable:
            backup.next_turn = self._loop.call_soon(self._turn, connection, backup)

    def end(self, connection: Connection) -> None:
        """Let go of the backup on a connection, finished or not; fine when there is none."""
        backup = self._backups.pop(connection, None)
        if backup is not None:
            backup.close()

    def _turn(self, connection: Connection, backup: Backup) -> None:
        backup.next_turn = None
        self.go_on(connection)

    def _watch(self, connection: Connection, backup: Backup) -> None:
        backup.deadline = self._loop.call_later(
            STALLED_SECONDS, self._judge, connection, backup, backup.sent
        )

    def _judge(self, connection: Connection, backup: Backup, sent_before: int) -> None:
        """End a backup of which nothing was taken for a while."""
        if backup.sent == sent_before:
            self.end(connection)
            connection.close("the client does not take the snapshot that it asked for")
        else:
            self._watch(connection, backup)

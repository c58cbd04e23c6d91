"""The clients that watch: what is ready for each is sent at the pace that it can take.

Law: nobody's events keep the loop from everybody else, and no watch that was given everything
is overtaken by compaction, because it hears how far it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from quorate.errors import LimitExceeded
from quorate.kv.commands import Refusal, RefusalCode
from quorate.kv.requests import Failed, WatchEvents, encode
from quorate.kv.watches import WatchHub
from quorate.runtime.transport.connection import Connection
from quorate.store.types import WatchBatch

EVENT_BYTES_MAX: Final = 1024 * 1024
PROGRESS_SECONDS: Final = 2.0
"""How often a watch without events hears how far it is: far below the history's 5 minutes."""
PROGRESS_PER_TURN: Final = 100
PROGRESS_PAUSE_SECONDS: Final = 0.005

Fail: TypeAlias = Callable[[Connection, int, RefusalCode, str], None]


class Subscribers:
    """The connections of clients, each with its number in the hub."""

    def __init__(self, hub: WatchHub, fail: Fail) -> None:
        self._hub = hub
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        self._numbers: dict[Connection, int] = {}
        self._next_number = 0
        self._next_turns: dict[int, asyncio.Handle] = {}
        self._progress: asyncio.TimerHandle | None = None
        self._untold: list[int] = []

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over the connections, in the order in which they came."""
        return iter(list(self._numbers))

    def add(self, connection: Connection) -> None:
        """A client connected."""
        self._next_number += 1
        self._connections[self._next_number] = connection
        self._numbers[connection] = self._next_number

    def remove(self, connection: Connection) -> None:
        """A client is gone, and its watches with it."""
        subscriber = self._numbers.pop(connection, 0)
        if subscriber:
            del self._connections[subscriber]
            turn = self._next_turns.pop(subscriber, None)
            if turn is not None:
                turn.cancel()
            self._hub.close_subscriber(subscriber)

    def number(self, connection: Connection) -> int:
        """Return a connection's number in the hub, 0 when it is gone."""
        return self._numbers.get(connection, 0)

    def deliver(self) -> None:
        """Send what is ready, to whoever can take it."""
        for subscriber in self._hub.ready():
            self._deliver(subscriber, self._connections[subscriber])

    def deliver_to(self, connection: Connection) -> None:
        """Send one client what is ready for it."""
        subscriber = self.number(connection)
        if subscriber:
            self._deliver(subscriber, connection)

    def close(self) -> None:
        """Stop the timer."""
        if self._progress is not None:
            self._progress.cancel()

    def _deliver(self, subscriber: int, connection: Connection) -> None:
        """Send what is ready, about a mebibyte per turn of the loop.

        What is sent counts as queued only after the turn: more at once would pass the
        connection's bound unseen, and keep the loop from everybody else.
        """
        if not connection.writable or subscriber in self._next_turns:
            return
        events = []
        for watch, batch in self._hub.take(subscriber, EVENT_BYTES_MAX):
            if isinstance(batch, Refusal):
                connection.send(encode(Failed(watch, batch)))
            else:
                events.append((watch, batch))
        if events:
            self._send_events(subscriber, connection, events)
        if self._hub.is_ready(subscriber):
            self._next_turns[subscriber] = self._loop.call_soon(
                self._deliver_on, subscriber, connection
            )

    def _deliver_on(self, subscriber: int, connection: Connection) -> None:
        del self._next_turns[subscriber]
        self._deliver(subscriber, connection)

    def plan_progress(self, seconds: float = PROGRESS_SECONDS) -> None:
        """See to it that watches hear how far they are."""
        if self._progress is None:
            self._progress = self._loop.call_later(seconds, self._tell_progress)

    def _tell_progress(self) -> None:
        """Tell each watch that was given everything, so that it resumes from there.

        One that heard nothing would resume from where it began, which may be compacted. The
        connections take turns, so that thousands of them never hold up the consensus.
        """
        self._progress = None
        if not self._untold:
            self._untold = [each for each in self._connections if self._hub.count(each)]
            if not self._untold:
                return
        for subscriber in self._untold[-PROGRESS_PER_TURN:]:
            connection = self._connections.get(subscriber)
            marks = self._hub.progress(subscriber)
            if marks and connection is not None and connection.writable:
                batches = tuple((watch, WatchBatch(revision)) for watch, revision in marks)
                connection.send(encode(WatchEvents(batches)))
        del self._untold[-PROGRESS_PER_TURN:]
        self.plan_progress(PROGRESS_PAUSE_SECONDS if self._untold else PROGRESS_SECONDS)

    def _send_events(
        self, subscriber: int, connection: Connection, events: list[tuple[int, WatchBatch]]
    ) -> None:
        try:
            connection.send(encode(WatchEvents(tuple(events))))
        except LimitExceeded as error:
            if len(events) > 1:
                for each in events:
                    self._send_events(subscriber, connection, [each])
                return
            watch, batch = events[0]
            self._hub.close(subscriber, watch)
            message = f"what revision {batch.revision} changed is too much for a watch: {error}"
            self._fail(connection, watch, RefusalCode.LIMIT_EXCEEDED, message)

"""Watches that survive reconnects: each knows the last revision that it handed out.

After a reconnect a watch is opened again from the next revision, so that nothing is lost
and nothing comes twice; marks of progress move that revision on while nothing happens, so that
it stays ahead of compaction. A reader that falls far behind is not buffered without bound: its
watch is closed at the server and opened again once it has caught up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Protocol

import msgspec

from quorate.errors import QuorateError
from quorate.store.types import WatchBatch, WatchRequest

BUFFER_BATCHES_MAX: Final = 10_000


class Source(Protocol):
    """Where a watch gets its events from."""

    def open(self, watch: ResumableWatch) -> None:
        """Ask for a watch, from where it stands."""

    def suspend(self, watch: ResumableWatch) -> None:
        """Stop the events of a watch whose reader is far behind."""

    def remove(self, watch: ResumableWatch) -> None:
        """Forget a watch."""


class ResumableWatch:
    """One watch of one client, wherever its events come from at the moment."""

    def __init__(self, source: Source, request: WatchRequest) -> None:
        self._source = source
        self.request = request
        self._batches: deque[WatchBatch] = deque()
        self._arrived = asyncio.Event()
        self._error: QuorateError | None = None
        self._closed = False
        self.seen = request.from_revision - 1 if request.from_revision else 0
        self.handed = self.seen
        self.id = 0
        self.overflown = False
        self.opened = asyncio.Event()
        """Set once the node has said from where on it delivers."""
        self.asking = False

    @property
    def revision(self) -> int:
        """The last revision of which everything has been handed out."""
        return self.handed

    def resumption(self) -> WatchRequest:
        """Return the request that goes on after what has arrived."""
        if self.seen <= 0:
            return self.request
        return msgspec.structs.replace(self.request, from_revision=self.seen + 1)

    def register(self, revision: int) -> None:
        """The node delivers from `revision` on: a reconnect must go on there."""
        self.seen = max(self.seen, revision - 1)
        self.handed = max(self.handed, self.seen if not self._batches else self.handed)
        self.opened.set()

    def deliver(self, batch: WatchBatch) -> None:
        """Take a batch from the node; one that was seen before is dropped.

        A mark of progress replaces the one before it, if that waits for the reader still.
        """
        if batch.revision <= self.seen:
            return
        self.seen = batch.revision
        if not batch.events:
            if self._batches and not self._batches[-1].events:
                self._batches.pop()
            if not self._batches:
                self.handed = batch.revision
        self._batches.append(batch)
        self._arrived.set()
        if len(self._batches) >= BUFFER_BATCHES_MAX and not self.overflown:
            self.overflown = True
            self._source.suspend(self)

    def fail(self, error: QuorateError) -> None:
        """End the watch with an error, after what has arrived."""
        self._error = error
        self._arrived.set()
        self.opened.set()

    async def __aiter__(self) -> AsyncIterator[WatchBatch]:
        while True:
            while self._batches:
                batch = self._batches.popleft()
                self.handed = batch.revision
                yield batch
            if self.overflown:
                self.overflown = False
                self._source.open(self)
            if self._error is not None:
                raise self._error
            if self._closed:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def arrived(self, events_max: int) -> list[WatchBatch]:
        """Take what has arrived already, at most about so many events; nothing is waited for."""
        taken: list[WatchBatch] = []
        events = 0
        while self._batches and events < events_max:
            batch = self._batches.popleft()
            self.handed = batch.revision
            events += len(batch.events)
            taken.append(batch)
        return taken

    async def close(self) -> None:
        """Stop watching; iteration ends."""
        if not self._closed:
            self._closed = True
            self._source.remove(self)
            self._arrived.set()

"""Watches that survive reconnects: each knows the last revision that it handed out.

After a reconnect a watch is opened again from the next revision, so that nothing is lost
and nothing comes twice; marks of progress move that revision on while nothing happens, so that
it stays ahead of compaction. A reader that falls far behind is not buffered without bound: its
watch is closed at the node and opened again once it has caught up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from quorate.engines.cluster.link import NEVER, Link, Pending
from quorate.errors import QuorateError
from quorate.kv.commands import RefusalCode
from quorate.kv.refusals import error_of
from quorate.kv.requests import CloseWatch, Failed, OpenWatch, Response, WatchOpened, encode
from quorate.store.types import WatchBatch, WatchRequest

BUFFER_BATCHES_MAX: Final = 10_000
SILENCE_SECONDS: Final = 8.0
"""Four times as long as a node lets a watch wait for a word."""


class ClusterWatch:
    """One watch of one client."""

    def __init__(self, watches: Watches, request: WatchRequest) -> None:
        self._watches = watches
        self._request = request
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
            return self._request
        return msgspec.structs.replace(self._request, from_revision=self.seen + 1)

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
            self._watches.suspend(self)

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
                self._watches.open(self)
            if self._error is not None:
                raise self._error
            if self._closed:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def close(self) -> None:
        """Stop watching; iteration ends."""
        if not self._closed:
            self._closed = True
            self._watches.remove(self)
            self._arrived.set()


class Watches:
    """All watches of one client."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, ClusterWatch] = {}
        self._listening: asyncio.TimerHandle | None = None

    def watch(self, request: WatchRequest) -> ClusterWatch:
        """Open a watch."""
        watch = ClusterWatch(self, request)
        self.open(watch)
        return watch

    def open(self, watch: ClusterWatch) -> None:
        """Ask the node for a watch, from where it stands."""
        self._open.pop(watch.id, None)
        watch.asking = True

        def succeed(response: Response) -> None:
            assert type(response) is WatchOpened
            watch.asking = False
            watch.register(response.revision)
            # The node may still refuse to go on, so its answers are waited for; after a
            # reconnect the watch is opened anew instead.
            pending.resend = False
            self._link.expect(pending)

        def fail(_: Pending, failed: Failed | None) -> None:
            if failed is not None and failed.refusal.code is not RefusalCode.OUTCOME_UNKNOWN:
                self._open.pop(watch.id, None)
                watch.fail(error_of(failed.refusal))

        pending = Pending(
            lambda request: encode(OpenWatch(request, watch.resumption())), succeed, fail, NEVER
        )
        watch.id = self._link.submit(pending)
        self._open[watch.id] = watch
        if self._listening is None:
            self._listening = self._loop.call_later(SILENCE_SECONDS, self._listen)

    def deliver(self, identifier: int, batch: WatchBatch) -> None:
        """Hand a batch to its watch."""
        watch = self._open.get(identifier)
        if watch is not None:
            watch.deliver(batch)

    def reopen(self) -> None:
        """After a reconnect, go on where each watch stands."""
        for watch in list(self._open.values()):
            # A question that was not answered was asked again already.
            if not watch.asking and not watch.overflown:
                self.open(watch)

    def _listen(self) -> None:
        """Leave a node that has said nothing for a while: it tells watches how far they are.

        Whoever only listens would never find out that a machine has lost power, or stands
        still.
        """
        self._listening = None
        if not self._open:
            return
        silence = self._link.silence
        if silence >= SILENCE_SECONDS:
            self._link.move("")
            silence = 0.0
        self._listening = self._loop.call_later(SILENCE_SECONDS - silence + 0.1, self._listen)

    def suspend(self, watch: ClusterWatch) -> None:
        """Stop the node from sending to a watch whose reader is far behind."""
        self._link.forget(watch.id)
        if self._open.pop(watch.id, None) is not None:
            self._link.post(encode(CloseWatch(watch.id)))

    def remove(self, watch: ClusterWatch) -> None:
        """Forget a watch."""
        self.suspend(watch)

    def close(self) -> list[ClusterWatch]:
        """Return every open watch, for closing."""
        if self._listening is not None:
            self._listening.cancel()
        return list(self._open.values())

"""The watches of one client of a cluster, over all its reconnects."""

from __future__ import annotations

import asyncio
from typing import Final

from quorate.engines.cluster.link import NEVER, Link, Pending
from quorate.engines.resumable import ResumableWatch
from quorate.kv.commands import RefusalCode
from quorate.kv.refusals import error_of
from quorate.kv.requests import CloseWatch, Failed, OpenWatch, Response, WatchOpened, encode
from quorate.store.types import WatchBatch, WatchRequest

SILENCE_SECONDS: Final = 8.0
"""Four times as long as a node lets a watch wait for a word."""


class Watches:
    """All watches of one client."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, ResumableWatch] = {}
        self._listening: asyncio.TimerHandle | None = None

    def watch(self, request: WatchRequest) -> ResumableWatch:
        """Open a watch."""
        watch = ResumableWatch(self, request)
        self.open(watch)
        return watch

    def open(self, watch: ResumableWatch) -> None:
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

    def suspend(self, watch: ResumableWatch) -> None:
        """Stop the node from sending to a watch whose reader is far behind."""
        self._link.forget(watch.id)
        if self._open.pop(watch.id, None) is not None:
            self._link.post(encode(CloseWatch(watch.id)))

    def remove(self, watch: ResumableWatch) -> None:
        """Forget a watch."""
        self.suspend(watch)

    def close(self) -> list[ResumableWatch]:
        """Return every open watch, for closing."""
        if self._listening is not None:
            self._listening.cancel()
        return list(self._open.values())

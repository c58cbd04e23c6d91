"""The watches of one etcd client: all on one stream, opened again wherever it breaks.

Law: a server that says nothing is left. A process that stands still keeps its connections, and
the pings of gRPC find that out after a minute only; so a stream that was silent is asked how far
it is, and has to answer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from itertools import groupby
from typing import Any, Final

from grpc.aio import EOF, AioRpcError, StreamStreamCall

from quorate.codecs.etcd.messages import MESSAGES
from quorate.engines.etcd.endpoints import Endpoints
from quorate.engines.etcd.errors import PERMISSION_DENIED
from quorate.engines.etcd.translation import FROM_KEY, event
from quorate.engines.resumable import ResumableWatch
from quorate.errors import Compacted, QuorateError, Refused, Unauthenticated
from quorate.runtime.scope import TaskScope
from quorate.store.types import WatchBatch, WatchDetail, WatchRequest

RETRY_SECONDS: Final = 0.1
SILENCE_SECONDS: Final = 2.0
"""How long a stream may be silent before it is asked, and then before it is left."""


class EtcdWatches:
    """All watches of one client."""

    def __init__(self, endpoints: Endpoints, scope: TaskScope) -> None:
        self._endpoints = endpoints
        self._scope = scope
        self._ids = itertools.count(1)
        self._open: dict[int, ResumableWatch] = {}
        self._requests: asyncio.Queue[Any] | None = None
        self._running = False
        self._doubtful: dict[ResumableWatch, None] = {}
        """Watches that were refused once, and are tried with a new login."""

    def watch(self, request: WatchRequest) -> ResumableWatch:
        """Open a watch."""
        watch = ResumableWatch(self, request)
        self.open(watch)
        return watch

    def open(self, watch: ResumableWatch) -> None:
        """Ask for a watch, from where it stands, under a number that was not used before."""
        self._open.pop(watch.id, None)
        watch.id = next(self._ids)
        self._open[watch.id] = watch
        if self._requests is not None:
            self._requests.put_nowait(_creation(watch))
        elif not self._running:
            self._running = True
            self._scope.spawn(self._run(), name="etcd-watches")

    def suspend(self, watch: ResumableWatch) -> None:
        """Stop the events of a watch whose reader is far behind."""
        if self._open.pop(watch.id, None) is not None and self._requests is not None:
            cancel = MESSAGES["WatchCancelRequest"](watch_id=watch.id)
            self._requests.put_nowait(MESSAGES["WatchRequest"](cancel_request=cancel))

    def remove(self, watch: ResumableWatch) -> None:
        """Forget a watch."""
        self.suspend(watch)

    def close(self) -> list[ResumableWatch]:
        """Return every open watch, for closing."""
        return list(self._open.values())

    async def _run(self) -> None:
        """Keep one stream open; a server that ends it is left."""
        try:
            while self._open:
                try:
                    await self._listen()
                except AioRpcError as error:
                    refusal = self._endpoints.judge(error)
                    if refusal is not None:
                        self._fail_all(refusal)
                        return
                else:
                    self._endpoints.leave()
                self._requests = None
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._requests = None
            self._running = False

    async def _listen(self) -> None:
        requests: asyncio.Queue[Any] = asyncio.Queue()
        for number in list(self._open):
            watch = self._open.pop(number)
            watch.id = next(self._ids)
            self._open[watch.id] = watch
            requests.put_nowait(_creation(watch))
        self._requests = requests
        call = await self._endpoints.stream("Watch/Watch", _each(requests))
        try:
            async for response in _responses(call, requests):
                watch_ = self._open.get(response.watch_id)
                if watch_ is not None and not self._take(watch_, response):
                    return
        finally:
            call.cancel()

    def _take(self, watch: ResumableWatch, response: Any) -> bool:
        """Take one response; False: the stream is of no use any more."""
        if response.created and not response.canceled:
            watch.register(watch.seen + 1 if watch.seen else response.header.revision + 1)
        if response.canceled:
            if response.compact_revision:
                del self._open[watch.id]
                watch.fail(
                    Compacted(
                        f"etcd compacted its history up to revision {response.compact_revision}: "
                        "read the state anew and watch from there",
                        response.compact_revision,
                    )
                )
                return True
            if response.created:
                return self._refuse(watch, response.cancel_reason)
            return False
        if response.created:
            self._doubtful.pop(watch, None)
        for revision, events in groupby(response.events, lambda each: each.kv.mod_revision):
            watch.deliver(WatchBatch(revision, tuple(event(each) for each in events)))
        if not response.events and not response.created:
            watch.deliver(WatchBatch(response.header.revision))
        return True

    def _refuse(self, watch: ResumableWatch, reason: str) -> bool:
        """End a watch that was refused; False: it may be the login that has ended."""
        if PERMISSION_DENIED not in reason:
            del self._open[watch.id]
            watch.fail(Refused(f"etcd refused the watch: {reason}"))
            return True
        if self._endpoints.log_out() and watch not in self._doubtful:
            # A watch is told no more than this, whatever is wrong with its login.
            self._doubtful[watch] = None
            return False
        del self._open[watch.id]
        self._doubtful.pop(watch, None)
        watch.fail(Unauthenticated(f"etcd refused the watch: {reason}"))
        return True

    def _fail_all(self, error: QuorateError) -> None:
        watches, self._open = list(self._open.values()), {}
        for watch in watches:
            watch.fail(error)


async def _responses(
    call: StreamStreamCall[Any, Any], requests: asyncio.Queue[Any]
) -> AsyncIterator[Any]:
    """Yield what a stream says until it ends, or owes an answer for too long."""
    asked = False
    reading: asyncio.Future[Any] | None = None
    try:
        while True:
            if reading is None:
                reading = asyncio.ensure_future(call.read())
            try:
                # The reading goes on: a read that is cancelled takes the stream with it.
                response = await asyncio.wait_for(asyncio.shield(reading), SILENCE_SECONDS)
            except TimeoutError:
                if asked:
                    return
                asked = True
                progress = MESSAGES["WatchProgressRequest"]()
                requests.put_nowait(MESSAGES["WatchRequest"](progress_request=progress))
                continue
            reading, asked = None, False
            if response is EOF:
                return
            yield response
    finally:
        if reading is not None:
            reading.add_done_callback(_heard)
            reading.cancel()


def _heard(reading: asyncio.Future[Any]) -> None:
    """Take note of how a reading ended of which nobody wants to know any more."""
    if not reading.cancelled():
        reading.exception()


async def _each(requests: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    while True:
        yield await requests.get()


def _creation(watch: ResumableWatch) -> Any:
    request = watch.resumption()
    create = MESSAGES["WatchCreateRequest"](
        key=request.key or FROM_KEY,
        start_revision=request.from_revision,
        progress_notify=True,
        prev_kv=request.detail is WatchDetail.PREVIOUS,
        watch_id=watch.id,
    )
    if request.end is not None:
        create.range_end = request.end or FROM_KEY
    return MESSAGES["WatchRequest"](create_request=create)

"""The Watch service: many watches on one stream, each with its id.

Laws: a watch's events come in order, once each, and after the answer that created it. A mark
of progress is sent only when every watch of its stream has been given everything up to it.
Source: etcd 3.5, `server/etcdserver/api/v3rpc/watch.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from quorate.codecs.etcd.messages import MESSAGES
from quorate.engines.cluster import ClusterStore
from quorate.engines.resumable import ResumableWatch
from quorate.errors import Compacted, QuorateError
from quorate.gateways.etcd.checks import bounds
from quorate.gateways.etcd.commits import PRESENT
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.refusals import rpc_error
from quorate.gateways.etcd.translation import event
from quorate.gateways.grpc.methods import StreamCall
from quorate.runtime.scope import TaskScope
from quorate.store.types import Event, EventKind, Range, WatchDetail, WatchRequest

_WatchResponse: Final = MESSAGES["WatchResponse"]
NO_WATCH: Final = -1
"""The id in answers that concern no watch, or all of a stream."""
FRAGMENT_BYTES: Final = 1_572_864
"""Events of one answer, about, where the client takes them in fragments: etcd's request limit."""
EVENTS_MAX: Final = 1000
"""Events of one answer, about, where more have arrived (etcd's `watchBatchMaxRevs`)."""
PROGRESS_SECONDS: Final = 600.0
"""How long a watch that asked for progress hears nothing, at most (etcd's default)."""
EVERYTHING: Final = 1 << 63
"""Above all revisions: nothing of an ended watch is to come."""
EMPTY_RANGE: Final = "mvcc: watcher range is empty"
DUPLICATE_ID: Final = "mvcc: duplicate watch ID provided on the WatchStream"


class WatchStream:
    """One client's stream."""

    def __init__(self, call: StreamCall, store: ClusterStore, headers: Headers) -> None:
        self._call = call
        self._store = store
        self._headers = headers
        self._loop = asyncio.get_running_loop()
        self._scope = TaskScope(self._failed)
        self._watches: dict[int, _Watch] = {}
        self._next_id = 0
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        """Serve the stream until it is cancelled; raises what ends a watch unforeseen.

        A client that has no more requests still hears of its watches.
        """
        self._scope.spawn(self._receive(), "requests")
        try:
            await self._ended
        finally:
            await self._scope.close()
            for watch in self._watches.values():
                await watch.source.close()

    async def _receive(self) -> None:
        while (request := await self._call.receive()) is not None:
            kind = request.WhichOneof("request_union")
            if kind == "create_request":
                await self._create(request.create_request)
            elif kind == "cancel_request":
                await self._cancel(request.cancel_request.watch_id)
            elif kind == "progress_request":
                self._scope.spawn(self._tell_progress(), "progress")

    def _failed(self, _: str, error: BaseException) -> None:
        if not self._ended.done():
            self._ended.set_exception(
                rpc_error(error) if isinstance(error, QuorateError) else error
            )

    async def _create(self, request: Any) -> None:
        start, end = bounds(request.key or b"\0", request.range_end)
        refusal = ""
        if end and start >= end:
            refusal = EMPTY_RANGE
        elif request.watch_id and request.watch_id in self._watches:
            refusal = DUPLICATE_ID
        if refusal:
            await self._call.send(
                _WatchResponse(
                    header=self._headers.latest(),
                    watch_id=NO_WATCH,
                    created=True,
                    canceled=True,
                    cancel_reason=refusal,
                )
            )
            return
        identifier = request.watch_id or self._free_id()
        asked = WatchRequest(
            start,
            end if request.range_end else None,
            max(0, request.start_revision),
            WatchDetail.PREVIOUS if request.prev_kv else WatchDetail.EVENT,
        )
        source = self._store.watch(asked)
        watch = self._watches[identifier] = _Watch(identifier, request, asked, source)
        header = self._headers.latest()
        if request.start_revision <= 0:
            await source.opened.wait()
            watch.reached(source.revision)
            header = self._headers.at(max(1, source.revision))
        await self._call.send(_WatchResponse(header=header, watch_id=identifier, created=True))
        self._scope.spawn(self._serve(watch), f"watch {identifier}")

    def _free_id(self) -> int:
        while self._next_id in self._watches:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    async def _cancel(self, identifier: int) -> None:
        watch = self._watches.pop(identifier, None)
        if watch is None:
            return
        watch.reached(EVERYTHING)
        await watch.source.close()
        await self._call.send(
            _WatchResponse(header=self._headers.latest(), watch_id=identifier, canceled=True)
        )

    async def _serve(self, watch: _Watch) -> None:
        """Send a watch's events until it is cancelled, or its history is gone."""
        try:
            try:
                await self._pump(watch)
            except Compacted as error:
                if error.compact_revision != watch.asked.from_revision:
                    raise
                await self._begin_at_compaction(watch)
                await self._pump(watch)
        except Compacted as error:
            self._watches.pop(watch.identifier, None)
            watch.reached(EVERYTHING)
            await self._call.send(
                _WatchResponse(
                    header=self._headers.latest(),
                    watch_id=watch.identifier,
                    canceled=True,
                    compact_revision=error.compact_revision,
                )
            )

    async def _pump(self, watch: _Watch) -> None:
        told = self._loop.time()
        async for batch in watch.source:
            if watch.identifier not in self._watches:
                return
            batches = [batch, *watch.source.arrived(EVENTS_MAX)]
            revision = batches[-1].revision
            events = [
                each for one in batches for each in one.events if each.kind not in watch.filtered
            ]
            if events:
                await self._send_events(watch, revision, events)
                told = self._loop.time()
            elif watch.progress and self._loop.time() - told >= PROGRESS_SECONDS:
                header = self._headers.at(revision)
                await self._call.send(_WatchResponse(header=header, watch_id=watch.identifier))
                told = self._loop.time()
            watch.reached(revision)

    async def _begin_at_compaction(self, watch: _Watch) -> None:
        """Begin with what is left of the revision that was compacted last, as etcd does.

        Of what it changed, the puts can still be read, and whoever deleted is forgotten.
        """
        asked = watch.asked
        revision = asked.from_revision
        end = asked.key + b"\0" if asked.end is None else asked.end
        left = await self._store.range(
            Range(
                asked.key,
                end,
                revision=revision,
                min_mod_revision=revision,
                max_mod_revision=revision,
            )
        )
        if left.items and EventKind.PUT not in watch.filtered:
            events = [Event(EventKind.PUT, item) for item in left.items]
            await self._send_events(watch, revision, events)
        await watch.source.close()
        watch.source = self._store.watch(msgspec.structs.replace(asked, from_revision=revision + 1))

    async def _send_events(self, watch: _Watch, revision: int, events: list[Event]) -> None:
        parts = _fragments(events) if watch.fragments else iter([events])
        part = next(parts)
        while part:
            following = next(parts, [])
            await self._call.send(
                _WatchResponse(
                    header=self._headers.at(revision),
                    watch_id=watch.identifier,
                    fragment=bool(following),
                    events=[event(each) for each in part],
                )
            )
            part = following

    async def _tell_progress(self) -> None:
        """Say how far all watches are, once each has been given what there is now."""
        present = (await self._store.range(PRESENT)).revision
        for watch in list(self._watches.values()):
            await watch.reaches(present)
        await self._call.send(_WatchResponse(header=self._headers.at(present), watch_id=NO_WATCH))


class _Watch:
    """One watch of a stream, and who waits for it to get somewhere."""

    def __init__(
        self, identifier: int, request: Any, asked: WatchRequest, source: ResumableWatch
    ) -> None:
        self.identifier = identifier
        self.asked = asked
        self.source = source
        self.fragments = request.fragment
        self.progress = request.progress_notify
        self.filtered = {EventKind(each) for each in request.filters if each in (0, 1)}
        self._reached = source.revision
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def reached(self, revision: int) -> None:
        """Everything up to `revision` has been sent."""
        self._reached = revision
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if wanted > revision:
                self._waiting.append((wanted, future))
            elif not future.done():
                future.set_result(None)

    async def reaches(self, revision: int) -> None:
        """Wait until everything up to `revision` has been sent."""
        if self._reached < revision:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((revision, future))
            await future


def _fragments(events: list[Event]) -> Iterator[list[Event]]:
    """Split events into parts of about `FRAGMENT_BYTES`."""
    part: list[Event] = []
    size = 0
    for each in events:
        length = len(each.kv.key) + len(each.kv.value)
        if each.previous is not None:
            length += len(each.previous.key) + len(each.previous.value)
        if part and size + length > FRAGMENT_BYTES:
            yield part
            part, size = [], 0
        part.append(each)
        size += length
    yield part

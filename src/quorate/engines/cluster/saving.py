"""A snapshot of the whole store as it comes from the leader.

Law: the stream ends without an error only when every byte came. It is asked for once: a
stream that broke is never glued to another.
"""

from __future__ import annotations

import asyncio
from collections import deque

from quorate.engines.cluster.link import Link, Pending
from quorate.errors import QuorateError, Unavailable
from quorate.kv.refusals import error_of
from quorate.kv.requests import (
    Failed,
    Response,
    SaveSnapshot,
    SnapshotPart,
    SnapshotStart,
    encode,
)
from quorate.runtime.ports import Clock


class SnapshotStream:
    """An async iterator over the slices of the state, as a machine restores them.

    Call `begin` first; it tells which snapshot it is. A consumer that awaits nothing between
    two slices holds no more of them in memory than one read of the socket brings. Both raise
    Unavailable when nothing comes within `timeout` (nanoseconds) or the connection is lost.
    """

    def __init__(self, link: Link, clock: Clock, timeout: int) -> None:
        self._link = link
        self._clock = clock
        self._timeout = timeout
        self._start: asyncio.Future[SnapshotStart] = asyncio.get_running_loop().create_future()
        self._slices: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._whole = False
        self._error: QuorateError | None = None
        self._pending = Pending(
            lambda request: encode(SaveSnapshot(request)),
            self._succeed,
            self._fail,
            self._clock.monotonic() + timeout,
        )

    async def begin(self) -> SnapshotStart:
        """Ask for the snapshot and return which one comes."""
        self._link.submit(self._pending)
        return await self._start

    def __aiter__(self) -> SnapshotStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._slices:
            if self._error is not None:
                raise self._error
            if self._whole:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._slices.popleft()

    def _succeed(self, response: Response) -> None:
        if isinstance(response, SnapshotStart):
            self._pending.resend = False
            if not self._start.done():
                self._start.set_result(response)
        else:
            assert isinstance(response, SnapshotPart)
            self._arrived.set()
            if not response.data:
                self._whole = True
                return
            self._slices.append(response.data)
        self._pending.deadline = self._clock.monotonic() + self._timeout
        self._link.expect(self._pending)

    def _fail(self, _: Pending, failed: Failed | None) -> None:
        if failed is not None:
            self._error = error_of(failed.refusal)
        elif self._start.done():
            self._error = Unavailable("the snapshot broke off before its end: save it again")
        else:
            self._error = Unavailable(self._link.explain())
        if not self._start.done():
            self._start.set_exception(self._error)
        self._arrived.set()

"""Group commit: every group's appends of the time that one sync takes share the next one.

The order of submissions is kept. A failed write or sync is fatal and never retried; a full
disk is retried, since nothing of that batch was written. Each retry tells the node, so that
it goes on trying to be led by another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain, repeat

from quorate.errors import DiskFull, StorageError
from quorate.runtime.ports import Background
from quorate.runtime.wal import GroupWrite, Wal

RETRY_SECONDS = (0.5, 0.5, 1.0, 1.0, 2.0)
"""Waits between tries on a full disk, the last one for ever: a try fills what little is left."""
REFUSE_AFTER_SECONDS = 2.0
"""How long a full disk may wait for another leader, or for room, before writes are refused."""
PREPARE_AFTER_BYTES = 512 * 1024
"""A slice is twice as large, so the next segment is ready when this one is half full."""


class Journal:
    """Appends to the log in the background and reports each completion on the loop."""

    def __init__(
        self,
        wal: Wal,
        background: Background,
        *,
        on_fatal: Callable[[BaseException], None],
        on_disk_full: Callable[[], None],
    ) -> None:
        self._wal = wal
        self._background = background
        self._on_fatal = on_fatal
        self._on_disk_full = on_disk_full
        self._writes: list[GroupWrite] = []
        self._callbacks: list[Callable[[], None]] = []
        self._wake = asyncio.Event()
        self._closed = False
        self._unprepared = 0
        self._full_since: float | None = None
        self.syncs = 0

    @property
    def disk_full(self) -> bool:
        """Whether the batch at the head waits for room on the disk."""
        return self._full_since is not None

    @property
    def refuses(self) -> bool:
        """Whether the disk has been full for so long that new data should be refused."""
        if self._full_since is None:
            return False
        return asyncio.get_running_loop().time() - self._full_since >= REFUSE_AFTER_SECONDS

    def submit(self, write: GroupWrite, done: Callable[[], None]) -> None:
        """Append `write` with the next batch; `done` is called once it is on disk."""
        self._writes.append(write)
        self._callbacks.append(done)
        self._wake.set()

    async def run(self) -> None:
        """Append until closed."""
        while not self._closed:
            await self._wake.wait()
            self._wake.clear()
            while self._writes and not self._closed:
                writes, self._writes = self._writes, []
                callbacks, self._callbacks = self._callbacks, []
                if not await self._append(writes):
                    return
                for done in callbacks:
                    done()
                await self._prepare(writes)

    async def mark(self, group: int, index: int, term: int) -> None:
        """Note in the log that a snapshot is on disk, so that what it replaces may go."""
        done = asyncio.get_running_loop().create_future()
        self.submit(
            GroupWrite(group=group, snapshot=(index, term)),
            lambda: None if done.done() else done.set_result(None),
        )
        await done

    async def release(self, group: int, below_index: int) -> None:
        """Let segments go that only hold what a snapshot replaced."""
        await self._background.run(self._wal.release, group, below_index)

    def close(self) -> None:
        """Stop after the append under way."""
        self._closed = True
        self._wake.set()

    async def _prepare(self, writes: list[GroupWrite]) -> None:
        """Make a slice of the next segment ready, so that no append waits for all of it.

        The slices keep pace with what is written: they take the disk from the appends.
        """
        self._unprepared += sum(len(entry.data) for write in writes for entry in write.entries)
        if self._unprepared >= PREPARE_AFTER_BYTES and not self._wal.prepared:
            self._unprepared = 0
            try:
                await self._background.run(self._wal.prepare_next)
            except DiskFull:
                # The append that needs the segment reports it.
                return
            except (StorageError, OSError) as error:
                self._on_fatal(error)

    async def _append(self, writes: list[GroupWrite]) -> bool:
        for wait in chain(RETRY_SECONDS, repeat(RETRY_SECONDS[-1])):
            if self._closed:
                break
            try:
                await self._background.run(self._wal.append, writes)
            except DiskFull:
                if self._full_since is None:
                    self._full_since = asyncio.get_running_loop().time()
                self._on_disk_full()
                await asyncio.sleep(wait)
            except (StorageError, OSError) as error:
                self._on_fatal(error)
                return False
            else:
                self._full_since = None
                self.syncs += 1
                return True
        return False

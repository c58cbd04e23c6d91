"""Snapshots of one group's machine: taking, sending and receiving them.

Taking one never stops writes: the machine hands out its state in slices, which a thread of
its own puts on disk. The log keeps a tail behind the snapshot, so that a follower that was
away for a moment catches up from it. A full disk puts a snapshot off; it never stops a node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from quorate.errors import DiskFull, QuorateError, SnapshotDamaged
from quorate.protocol.raft import Entry, SnapshotIdentity
from quorate.protocol.raft.configuration import encode_configuration
from quorate.protocol.raft.events import (
    ChunkLoaded,
    ChunkStored,
    SnapshotInstalled,
    SnapshotTaken,
)
from quorate.protocol.raft.output import LoadChunk, Output, StoreChunk
from quorate.runtime.host.group import Group
from quorate.runtime.host.journal import Journal
from quorate.runtime.ports import Background
from quorate.runtime.scope import TaskScope
from quorate.runtime.snapshots import SnapshotMeta, SnapshotReceiver, SnapshotStore

SNAPSHOT_AFTER_BYTES = 64 * 1024 * 1024
"""The log may grow by this much, or by twice the last snapshot's size if that is more."""
SNAPSHOT_AFTER_BYTES_MAX = 256 * 1024 * 1024
"""A large state does not let the log grow for ever: it has to be read at the next start."""
SNAPSHOT_AFTER_ENTRIES = 500_000
CATCH_UP_ENTRIES = 5_000
CATCH_UP_BYTES = 16 * 1024 * 1024
ENTRY_OVERHEAD_BYTES = 128
"""What an entry costs beside its data, in memory and at the next start."""
DISK_FULL_RETRY_SECONDS = 5.0
RECEIVE_RETRY_SECONDS = 1.0
"""How long a follower whose disk was full takes nothing: the cluster may be waiting for it."""

logger = logging.getLogger("quorate.node")


class Snapshotting:
    """The snapshot room of one group."""

    def __init__(
        self,
        group: Group,
        store: SnapshotStore,
        *,
        journal: Journal,
        background: Background,
        scope: TaskScope,
        after_entries: int = SNAPSHOT_AFTER_ENTRIES,
    ) -> None:
        self._group = group
        self._store = store
        self._journal = journal
        self._background = background
        self._scope = scope
        self._after_entries = after_entries
        self._catch_up = min(CATCH_UP_ENTRIES, after_entries)
        self._taking = False
        self._grown_bytes = 0
        self._receiver: SnapshotReceiver | None = None
        self._receiving: SnapshotIdentity | None = None
        self._busy = False

    def absorb(self, output: Output) -> None:
        """Load and store the chunks that a step asked for."""
        for load in output.loads:
            self._scope.spawn(self._load(load), name="snapshot-load")
        for store in output.stores:
            if not self._busy:
                self._busy = True
                self._scope.spawn(self._receive(store), name="snapshot-receive")

    def applied(self, entry: Entry) -> None:
        """Take a snapshot when the log has grown enough since the last one.

        Writing the state costs as much as it is large, so a large one is written less often.
        """
        core = self._group.raft.core
        since, size = (core.snapshot.index, core.snapshot.size) if core.snapshot else (0, 0)
        self._grown_bytes += len(entry.data) + ENTRY_OVERHEAD_BYTES
        bytes_max = min(max(SNAPSHOT_AFTER_BYTES, 2 * size), SNAPSHOT_AFTER_BYTES_MAX)
        grown = entry.index - since >= self._after_entries or self._grown_bytes >= bytes_max
        if grown and not self._taking:
            self._taking = True
            self._scope.spawn(self._take(), name="snapshot-take")

    async def take(self) -> SnapshotMeta:
        """Take a snapshot now and return what was written."""
        group = self._group
        self._grown_bytes = 0
        index, term = group.applied_index, group.applied_term
        configuration = max(
            (each for each in group.raft.core.configurations if each[0] <= index),
            key=lambda each: each[0],
        )[1]
        meta = SnapshotMeta(
            group=group.number,
            index=index,
            term=term,
            configuration=encode_configuration(configuration),
            size=0,
            checksum=0,
        )
        chunks = group.machine.capture()
        written = await self._write(meta, chunks)
        log = group.raft.core.log
        keep_from = max(index + 1 - self._catch_up, log.tail_of(index, CATCH_UP_BYTES), 1)
        group.step(SnapshotTaken(group.now, _identity(written), keep_from))
        await self._journal.mark(group.number, index, term)
        await self._journal.release(group.number, group.raft.core.log.first_index)
        await self._background.run(self._store.prune)
        return written

    async def _take(self) -> None:
        try:
            await self.take()
        except DiskFull as error:
            logger.error("no snapshot was taken: %s", error)  # noqa: TRY400  the message says all
            await asyncio.sleep(DISK_FULL_RETRY_SECONDS)
        finally:
            self._taking = False

    async def _write(self, meta: SnapshotMeta, chunks: Iterator[bytes]) -> SnapshotMeta:
        writer = await self._background.run(self._store.begin, meta)
        try:
            for chunk in chunks:
                await self._background.run(writer.write, chunk)
        except BaseException:
            await self._background.run(writer.abort)
            raise
        return await self._background.run(writer.commit)

    async def _load(self, load: LoadChunk) -> None:
        meta = _meta(self._group.number, load.snapshot)
        try:
            data = await self._background.run(self._store.read_raw, meta, load.offset, load.size)
        except (QuorateError, OSError):
            data = b""
        group = self._group
        group.step(ChunkLoaded(group.now, load.node, load.snapshot, load.offset, data))

    async def _receive(self, store: StoreChunk) -> None:
        try:
            await self._store_chunk(store)
        except DiskFull as error:
            # Unanswered, so that the leader sends it again; what was received stays.
            logger.error("no snapshot was received: %s", error)  # noqa: TRY400  the message says all
            await asyncio.sleep(RECEIVE_RETRY_SECONDS)
        finally:
            self._busy = False

    async def _store_chunk(self, store: StoreChunk) -> None:
        group = self._group
        meta = _meta(group.number, store.snapshot)
        receiver = self._receiver
        if receiver is None or self._receiving != store.snapshot:
            receiver = await self._background.run(self._store.receive, meta)
            self._receiver, self._receiving = receiver, store.snapshot
        if store.data and store.offset == receiver.offset:
            await self._background.run(receiver.write, store.offset, store.data)
        held = receiver.offset
        if held < store.snapshot.size:
            group.step(ChunkStored(group.now, store.sender, store.snapshot, held))
            return
        self._receiver = self._receiving = None
        try:
            await self._background.run(receiver.commit)
            chunks = await self._background.run(lambda: list(self._store.read_chunks(meta)))
        except SnapshotDamaged:
            await self._background.run(receiver.abort)
            group.step(ChunkStored(group.now, store.sender, store.snapshot, 0))
            return
        self._install(store, chunks)

    def _install(self, store: StoreChunk, chunks: list[bytes]) -> None:
        group = self._group
        if store.snapshot.index > group.applied_index:
            group.machine.restore(chunks)
            group.applied_index = store.snapshot.index
            group.applied_term = store.snapshot.term
            self._grown_bytes = 0
        group.step(SnapshotInstalled(group.now, store.sender, store.snapshot))


def _identity(meta: SnapshotMeta) -> SnapshotIdentity:
    return SnapshotIdentity(meta.index, meta.term, meta.size, meta.checksum, meta.configuration)


def _meta(group: int, identity: SnapshotIdentity) -> SnapshotMeta:
    return SnapshotMeta(
        group=group,
        index=identity.index,
        term=identity.term,
        configuration=identity.configuration,
        size=identity.size,
        checksum=identity.checksum,
    )

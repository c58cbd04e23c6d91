"""A node that stopped between a received snapshot and the log's word of it starts again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from quorate.cli.processes import free_ports
from quorate.engines.cluster import ClusterStore
from quorate.kv.machine import KeyValueMachine
from quorate.node import Node, NodeConfig
from quorate.node.data_directory import GROUP, SNAPSHOTS, WAL
from quorate.node.identity import FORMAT, Identity, save_identity
from quorate.node.salvage import salvage
from quorate.protocol.raft import Entry, EntryKind, HardState, Member, bootstrap
from quorate.protocol.raft.configuration import encode_configuration
from quorate.runtime.snapshots import SnapshotMeta, SnapshotStore
from quorate.runtime.wal import GroupWrite, Wal
from quorate.runtime.world import RealFiles
from quorate.store.limits import Limits

ADDRESS = f"127.0.0.1:{free_ports(1)[0]}"
ALONE = bootstrap([Member(1, "a", ADDRESS)])
TERM = 5


def lay(directory: Path, *, log_end: int, log_term: int, snapshot: int) -> None:
    """Write a data directory: a log of empty entries, and a snapshot that it was not told of."""
    files = RealFiles()
    save_identity(files, str(directory), Identity(FORMAT, 7, 1, "a", ALONE))
    wal, _ = Wal.open(files, str(directory / WAL), segment_bytes=64 * 1024, salt=1)
    entries = [Entry(log_term, index, EntryKind.EMPTY, b"") for index in range(1, log_end + 1)]
    wal.append([GroupWrite(GROUP, HardState(TERM, 0, 1), entries)])
    wal.close()
    meta = SnapshotMeta(GROUP, snapshot, 3, encode_configuration(ALONE))
    writer = SnapshotStore(files, str(directory / SNAPSHOTS / str(GROUP))).begin(meta)
    for chunk in KeyValueMachine(Limits()).capture():
        writer.write(chunk)
    writer.commit()


@pytest.mark.parametrize(
    ("log_end", "log_term"),
    [
        pytest.param(9, 4, id="entries of a later term that diverge reach past it"),
        pytest.param(9, 2, id="entries of an earlier term that diverge reach past it"),
        pytest.param(9, 3, id="entries that agree reach past it"),
        pytest.param(5, 2, id="the log ends there"),
        pytest.param(3, 3, id="the log ends before it"),
    ],
)
def test_it_serves_and_keeps_what_it_is_given(tmp_path: Path, log_end: int, log_term: int) -> None:
    lay(tmp_path, log_end=log_end, log_term=log_term, snapshot=5)

    async def serve(key: bytes, expected: bytes | None) -> None:
        node = Node(NodeConfig(name="a", data_dir=str(tmp_path), listen=ADDRESS))
        await node.start()
        store = ClusterStore([ADDRESS])
        try:
            before = await store.get(key)
            assert (before.value if before else None) == expected
            await store.put(key, b"x")
            assert not node.failed.done()
        finally:
            await store.close()
            await node.stop()

    asyncio.run(serve(b"k", None))
    asyncio.run(serve(b"k", b"x"))


def test_recovery_leaves_out_entries_that_diverge(tmp_path: Path) -> None:
    lay(tmp_path, log_end=9, log_term=2, snapshot=5)
    found = salvage(RealFiles(), str(tmp_path))
    assert (found.index, found.term) == (5, 3)

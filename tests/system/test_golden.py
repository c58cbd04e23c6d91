"""Data directories that releases wrote: every later one opens them and finds the same."""

from __future__ import annotations

import asyncio
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.system.workloads import ask, until

from quorate.kv.commands import BATCH_FORMAT
from quorate.kv.requests import ReadAll, ReadDone
from quorate.kv.snapshot import SNAPSHOT_FORMAT
from quorate.node import Node, NodeConfig
from quorate.node.identity import FORMAT as IDENTITY_FORMAT
from quorate.runtime.wal.records import FORMAT as LOG_FORMAT
from quorate.store.types import Get, KeyValue, Range, RangeResult, ReadConsistency

GOLDEN = Path(__file__).parents[1] / "golden"
RELEASED = sorted(GOLDEN.glob("format-*"))
SIZE_MAX = 100 * 1024

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("golden", RELEASED, ids=lambda path: path.name),
]


def unpack(golden: Path, directory: Path) -> Path:
    with tarfile.open(golden / "data.tar.xz") as archive:
        archive.extractall(directory, filter="data")
    return directory / "data"


def node_on(data: Path) -> Node:
    return Node(NodeConfig(name="golden", data_dir=str(data), listen="127.0.0.1:0"))


async def leads(node: Node) -> bool:
    status = node.status(0)
    return status.role == "leader" and status.applied_index == status.commit_index > 0


async def read(node: Node, *operations: Get | Range) -> tuple[Any, ...]:
    """Read from the node itself: the address in its membership is that of another day."""
    request = ReadAll(1, ReadConsistency.LINEARIZABLE, operations)
    answer = await ask(f"127.0.0.1:{node.port}", request)
    assert isinstance(answer, ReadDone)
    return answer.results


def test_the_exact_state_is_found(golden: Path, tmp_path: Path) -> None:
    expected = json.loads((golden / "expected.json").read_text())

    async def body() -> None:
        node = node_on(unpack(golden, tmp_path))
        await node.start()
        await until(lambda: leads(node))
        machine, status = node.machine, node.status(0)
        assert machine.digest() == expected["digest"]
        assert machine.revision == expected["revision"]
        assert machine.compact_revision == expected["compact_revision"]
        assert len(machine.sessions) == expected["sessions"] > 0
        assert (status.cluster_id, status.node_id) == (expected["cluster_id"], expected["node_id"])
        assert [lease.id for lease in machine.lease_table] == [expected["lease"]]
        page, old = await read(node, Range(), Get(b"before/0", 10))
        assert isinstance(page, RangeResult)
        assert {
            item.key.decode(): [item.value.decode(), item.create_revision, item.mod_revision]
            for item in page.items
        } == expected["items"]
        assert isinstance(old, KeyValue)
        assert old.value.decode() == expected["before/0 at 10"]
        assert next(item for item in page.items if item.key == b"leased").lease == expected["lease"]
        await node.stop()

    asyncio.run(body())


def test_opening_rewrites_nothing(golden: Path, tmp_path: Path) -> None:
    """So that the release that wrote it could still open it."""
    data = unpack(golden, tmp_path)
    identity = (data / "identity.json").read_bytes()
    snapshots = {path: path.read_bytes() for path in data.glob("snapshots/*/*.snap")}
    segments = {path: path.read_bytes().rstrip(b"\0") for path in data.glob("wal/wal-0*.log")}
    assert identity
    assert snapshots
    assert segments

    async def body() -> None:
        node = node_on(data)
        await node.start()
        await until(lambda: leads(node))
        await node.stop()

    asyncio.run(body())
    assert (data / "identity.json").read_bytes() == identity
    for path, content in snapshots.items():
        assert path.read_bytes() == content
    for path, content in segments.items():
        assert path.read_bytes().startswith(content), "records are only added"


def test_the_formats_of_today_have_a_golden_directory(golden: Path) -> None:
    assert (golden / "data.tar.xz").stat().st_size < SIZE_MAX
    newest = max(BATCH_FORMAT, SNAPSHOT_FORMAT, IDENTITY_FORMAT, LOG_FORMAT)
    assert (GOLDEN / f"format-{newest}").is_dir(), "a raised format comes with its directory"

"""Writes a golden data directory: what a node of this release leaves on its disk.

    python tools/make_golden.py tests/golden/format-N

The directory gets `data.tar.xz`, the node's files, and `expected.json`, what must be found in
them. Once a release wrote it, it is never written again: later releases have to open it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from quorate.cli.processes import free_ports
from quorate.client import AsyncClient
from quorate.node import Node, NodeConfig

SNAPSHOT_ENTRIES = 20
TTL_SECONDS = 300 * 24 * 3600.0
"""Longer than any test, so that the lease is there whenever the directory is opened."""


async def write(directory: Path) -> dict[str, Any]:
    """Let a node write its files, and return what they must be found to hold."""
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    node = Node(
        NodeConfig(
            name="golden",
            data_dir=str(directory),
            listen=address,
            peers=(f"golden={address}",),
            snapshot_entries=SNAPSHOT_ENTRIES,
        )
    )
    await node.start()
    async with AsyncClient(f"quorate://{address}") as client:
        lease = await client.kv.grant(TTL_SECONDS)
        for number in range(SNAPSHOT_ENTRIES):
            await client.kv.put(f"before/{number % 7}", f"value {number}")
        await client.kv.delete("before/3")
        await client.store.compact(8)
        await client.kv.put("leased", "with a lease", lease=lease.id)
        while not list((directory / "snapshots" / "1").glob("*.snap")):
            await client.kv.put("waiting", "for the snapshot")
            await asyncio.sleep(0.05)
        # The tail: fewer entries than a snapshot takes.
        for number in range(5):
            await client.kv.put(f"after/{number}", f"value {number}")
        await client.kv.delete("after/4")
        page = await client.kv.range(prefix="")
        old = await client.kv.get("before/0", revision=10)
    assert old is not None
    status = node.status(0)
    machine = node.machine
    expected = {
        "cluster_id": status.cluster_id,
        "node_id": status.node_id,
        "revision": machine.revision,
        "compact_revision": machine.compact_revision,
        "digest": machine.digest(),
        "sessions": len(machine.sessions),
        "lease": lease.id,
        "items": {
            item.key.decode(): [item.value.decode(), item.create_revision, item.mod_revision]
            for item in page.items
        },
        "before/0 at 10": old.value.decode(),
    }
    await node.stop()
    return expected


def main() -> None:
    """Write a golden directory where the argument says."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data"
        expected = asyncio.run(write(data))
        (target / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
        with tarfile.open(target / "data.tar.xz", "w:xz", preset=9) as archive:
            archive.add(data, "data", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()

"""Back up the store of a running cluster, look at a backup, make a new cluster from one.

A backup holds every key, lease and revision since the last compaction, as of one moment.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import FileSizeColumn, Progress, TextColumn, TransferSpeedColumn

from quorate.cli.options import (
    add_command,
    add_commands,
    add_connection,
    add_json,
    cluster_store,
    new_parser,
    with_client,
)
from quorate.client.asynchronous import AsyncClient
from quorate.node.config import NodeConfig
from quorate.node.data_directory import GROUP
from quorate.node.restoring import load_backup, restore
from quorate.protocol.raft.configuration import decode_configuration
from quorate.runtime.snapshot_file import SnapshotFile
from quorate.runtime.snapshots import SnapshotMeta
from quorate.runtime.world import RealFiles, RealRandomness

RESTORE_ABOUT = """\
Makes the data directory of one first member of a new cluster. Run it once per member, with
the same FILE and the same --peers, on the member's machine; then start each with
`quorate serve`. The new cluster has another id than the old one. Its revisions begin
1,000,000,000 higher, so that fencing tokens keep rising, and its history is compacted
there, so that a watch from an older revision is told so."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser("snapshot", __doc__ or "")
    commands = add_commands(parser)
    save = add_command(
        commands,
        "save",
        "write the whole store, as of now, to a file",
        about="The file has its name only once it is whole and on disk. It is readable by you "
        "alone.",
        example="quorate snapshot save /backups/monday.snap",
    )
    save.add_argument("file")
    add_connection(save)
    status = add_command(
        commands,
        "status",
        "verify a backup and tell what it holds",
        about="Every checksum is verified and the state is built, so what passes can be restored.",
        example="quorate snapshot status /backups/monday.snap",
    )
    status.add_argument("file")
    add_json(status)
    again = add_command(
        commands,
        "restore",
        "make a member of a new cluster from a backup",
        about=RESTORE_ABOUT,
        example="quorate snapshot restore /backups/monday.snap --name a \\\n"
        "    --data-dir /var/lib/quorate \\\n"
        "    --peers a=10.0.0.1:7400,b=10.0.0.2:7400,c=10.0.0.3:7400",
    )
    again.add_argument("file")
    again.add_argument("--name", required=True, help="which of the peers this one is")
    again.add_argument("--data-dir", required=True, metavar="DIR", help="empty, or not there yet")
    again.add_argument("--peers", required=True, help="every first member: NAME=HOST:PORT,...")
    again.add_argument("--token", default="quorate", help="tells clusters of the same names apart")
    add_json(again)
    return parser


def run(arguments: list[str]) -> int:
    """Run one `quorate snapshot` command."""
    parsed = build_parser().parse_args(arguments)
    if parsed.command == "save":
        return with_client(parsed, lambda client: _save(client, parsed))
    return _status(parsed) if parsed.command == "status" else _restore(parsed)


async def _save(client: AsyncClient, arguments: argparse.Namespace) -> int:
    stream = cluster_store(client, "snapshots").save_snapshot()
    start = await stream.begin()
    meta = SnapshotMeta(GROUP, start.index, start.term, start.configuration)
    with SnapshotFile(RealFiles(), arguments.file, meta) as file:
        with _progress() as progress:
            task = progress.add_task(f"saving {Path(arguments.file).name}", total=None)
            # Written between two reads of the socket: what came never piles up in memory.
            async for chunk in stream:
                file.write(chunk)
                progress.update(task, completed=file.size)
        file.commit()
        size = file.size
    _tell(
        arguments,
        {"file": arguments.file, "index": start.index, "term": start.term, "bytes": size},
        f"{arguments.file} holds the store up to entry {start.index}: {size:,} bytes",
    )
    return 0


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), FileSizeColumn(), TransferSpeedColumn())
    with Progress(
        *columns,
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    ) as progress:
        yield progress


def _status(arguments: argparse.Namespace) -> int:
    meta, machine = load_backup(arguments.file)
    members = decode_configuration(meta.configuration).members
    keys = len(machine.history.live)
    _tell(
        arguments,
        {
            "file": arguments.file,
            "index": meta.index,
            "term": meta.term,
            "revision": machine.revision,
            "compact_revision": machine.compact_revision,
            "keys": keys,
            "leases": len(machine.lease_table),
            "bytes": meta.size,
            "members": [member.name for member in members],
        },
        f"{arguments.file} is whole: {meta.size:,} bytes\n"
        f"  entry     {meta.index} of term {meta.term}\n"
        f"  revision  {machine.revision}, history since {machine.compact_revision}\n"
        f"  keys      {keys:,}\n"
        f"  leases    {len(machine.lease_table):,}\n"
        f"  members   {', '.join(member.name for member in members)}",
    )
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    config = NodeConfig(
        name=arguments.name,
        data_dir=arguments.data_dir,
        peers=tuple(filter(None, arguments.peers.split(","))),
        token=arguments.token,
    )
    identity = restore(RealFiles(), RealRandomness(), config, arguments.file)
    address = next(each.address for each in config.members if each.name == config.name)
    _tell(
        arguments,
        {
            "cluster_id": f"{identity.cluster_id:x}",
            "node_id": f"{identity.node_id:x}",
            "name": identity.name,
            "data_dir": arguments.data_dir,
        },
        f"{arguments.data_dir} is {identity.name} of the new cluster {identity.cluster_id:x}\n"
        f"start it:  quorate serve --name {identity.name} --data-dir {arguments.data_dir} "
        f"--listen {address}",
    )
    return 0


def _tell(arguments: argparse.Namespace, document: dict[str, object], text: str) -> None:
    print(json.dumps(document) if arguments.json else text)

"""A live cluster on this machine, for development.

Starts the nodes as processes of their own, waits until a leader serves, prints the URL and
then a live table. Ctrl-C stops all of them; started again on the same directory it comes
back with its data. A node that is killed stays dead and is shown so, until
`quorate dev start NAME`, in another terminal, starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Final

import uvloop
from rich.live import Live
from rich.table import Table

from quorate.cli.control import Ask, Control, ask, take_directory
from quorate.cli.options import add_command, new_parser
from quorate.cli.processes import LocalCluster, LocalNode
from quorate.kv.requests import Status

DIRECTORY: Final = ".quorate"
ETCD_PORT: Final = 2379


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser(
        "dev", __doc__ or "", example="quorate dev --nodes 5\nquorate dev stop node2"
    )
    parser.add_argument(
        "--nodes", type=int, default=3, metavar="N", help="1 to 7 (default: %(default)s)"
    )
    parser.add_argument(
        "--data-dir", default=DIRECTORY, metavar="DIR", help="kept (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=7400,
        metavar="BASE",
        help="the first node's port; 0: free ports (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON, then quiet")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, short in (
        ("start", "start a node of the running dev cluster again"),
        ("stop", "stop a node of the running dev cluster cleanly"),
    ):
        command = add_command(commands, name, short, example=f"quorate dev {name} node2")
        command.add_argument("name", help="node1, node2, ...")
        # Suppressed, so that it does not hide the same option before the command.
        command.add_argument(
            "--data-dir",
            default=argparse.SUPPRESS,
            metavar="DIR",
            help=f"of the running cluster (default: {DIRECTORY})",
        )
    return parser


def run(arguments: list[str]) -> int:
    """Run a cluster until interrupted, or start or stop a node of the running one."""
    parsed = build_parser().parse_args(arguments)
    directory = Path(parsed.data_dir)
    if parsed.command:
        print(ask(directory, Ask(parsed.command, parsed.name)))
        return 0
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    unlock = take_directory(directory)
    try:
        cluster = LocalCluster(
            directory, parsed.nodes, parsed.port, ETCD_PORT if parsed.port else 0
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(cluster, directory, parsed))
    finally:
        unlock()


async def _run(cluster: LocalCluster, directory: Path, arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    cluster.start()
    control = Control(cluster, directory)
    try:
        await control.open()
        await cluster.ready()
        if arguments.json:
            print(json.dumps(_document(cluster)), flush=True)
            await stop.wait()
        else:
            print(f"\nThe cluster serves at  {cluster.url}", flush=True)
            etcd = ",".join(node.etcd for node in cluster.nodes if node.etcd)
            print(f"and etcd's clients at  {etcd}\n" if etcd else "", flush=True)
            await (_live if sys.stdout.isatty() else _plain)(cluster, stop)
    finally:
        await control.close()
        await asyncio.to_thread(cluster.stop)
    return 0


def _document(cluster: LocalCluster) -> dict[str, object]:
    nodes = [
        {
            "name": node.name,
            "pid": node.pid,
            "address": node.address,
            "http": node.http,
            "etcd": node.etcd,
        }
        for node in cluster.nodes
    ]
    return {"url": cluster.url, "nodes": nodes}


async def _live(cluster: LocalCluster, stop: asyncio.Event) -> None:
    with Live(auto_refresh=False) as live:
        while not stop.is_set():
            live.update(_table(cluster, await cluster.statuses()), refresh=True)
            await _pause(stop, 0.5)


async def _plain(cluster: LocalCluster, stop: asyncio.Event) -> None:
    shown: dict[str, str] = {}
    while not stop.is_set():
        for node, status in zip(cluster.nodes, await cluster.statuses(), strict=True):
            state = status.role if status else _absence(node, "starting")
            if shown.get(node.name) != state:
                shown[node.name] = state
                print(f"{node.name} pid {node.pid} at {node.address}: {state}", flush=True)
        await _pause(stop, 0.5)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _absence(node: LocalNode, silent: str) -> str:
    """Say why a node does not answer; `silent` is the word for one that runs."""
    if node.running:
        return silent
    return "stopped" if node.process is not None and node.process.returncode == 0 else "dead"


def _table(cluster: LocalCluster, statuses: list[Status | None]) -> Table:
    table = Table(caption="Ctrl-C stops the cluster")
    for column in ("node", "pid", "address", "role", "term", "commit", "lag", "health"):
        table.add_column(column)
    newest = max((status.commit_index for status in statuses if status), default=0)
    for node, status in zip(cluster.nodes, statuses, strict=True):
        if status is None:
            health = f"[{'yellow' if node.running else 'red'}]{_absence(node, 'no answer')}[/]"
            table.add_row(node.name, str(node.pid), node.address, "-", "-", "-", "-", health)
            continue
        role = f"[bold green]{status.role}[/]" if status.role == "leader" else status.role
        table.add_row(
            node.name,
            str(node.pid),
            node.address,
            role,
            str(status.term),
            str(status.commit_index),
            str(newest - status.applied_index),
            "[green]healthy[/]" if status.healthy else "[red]unhealthy[/]",
        )
    return table

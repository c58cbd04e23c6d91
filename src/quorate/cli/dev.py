"""`quorate dev`: a live cluster on this machine, for development.

Starts the nodes as processes of their own, waits until a leader serves, prints the URL and
then a live table. Ctrl-C stops all of them; started again on the same directory it comes
back with its data. A node that is killed stays dead and is shown so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

import uvloop
from rich.live import Live
from rich.table import Table

from quorate.cli.processes import LocalCluster
from quorate.kv.requests import Status


def run(arguments: list[str]) -> int:
    """Run a cluster until interrupted."""
    parser = argparse.ArgumentParser(
        prog="quorate dev",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--nodes", type=int, default=3, metavar="N")
    parser.add_argument("--data-dir", default=".quorate", metavar="DIR")
    parser.add_argument("--port", type=int, default=7400, metavar="BASE", help="0: free ports")
    parser.add_argument("--json", action="store_true", help="one line of JSON, then quiet")
    parsed = parser.parse_args(arguments)
    cluster = LocalCluster(Path(parsed.data_dir), parsed.nodes, parsed.port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(cluster, parsed))


async def _run(cluster: LocalCluster, arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    cluster.start()
    try:
        await cluster.ready()
        if arguments.json:
            print(json.dumps(_document(cluster)), flush=True)
            await stop.wait()
        else:
            print(f"\nThe cluster serves at  {cluster.url}\n", flush=True)
            await (_live if sys.stdout.isatty() else _plain)(cluster, stop)
    finally:
        await asyncio.to_thread(cluster.stop)
    return 0


def _document(cluster: LocalCluster) -> dict[str, object]:
    nodes = [
        {"name": node.name, "pid": node.pid, "address": node.address, "http": node.http}
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
            state = status.role if status else ("starting" if node.running else "dead")
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


def _table(cluster: LocalCluster, statuses: list[Status | None]) -> Table:
    table = Table(caption="Ctrl-C stops the cluster")
    for column in ("node", "pid", "address", "role", "term", "commit", "lag", "health"):
        table.add_column(column)
    newest = max((status.commit_index for status in statuses if status), default=0)
    for node, status in zip(cluster.nodes, statuses, strict=True):
        if status is None:
            health = "[yellow]no answer[/]" if node.running else "[red]dead[/]"
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

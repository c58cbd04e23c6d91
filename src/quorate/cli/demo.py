"""A tour of about 20 seconds that ends by itself.

Starts a throw-away cluster, increments a counter under the lock from several processes,
kills the leader meanwhile, and tells what happened.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from quorate.cli.options import new_parser
from quorate.cli.processes import LocalCluster, LocalNode
from quorate.client.asynchronous import AsyncClient

WORKERS: Final = 4
ROUNDS: Final = 40
KEY: Final = "demo/counter"
LOCK: Final = "demo/lock"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser("demo", __doc__ or "", example="quorate demo")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    return parser


def run(arguments: list[str]) -> int:
    """Run the tour; 0 when the count is exact."""
    parsed = build_parser().parse_args(arguments)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if parsed.worker:
            return runner.run(_work(parsed.worker))
        with tempfile.TemporaryDirectory(prefix="quorate-demo-") as directory:
            return runner.run(_tour(LocalCluster(Path(directory), 3, 0)))


async def _work(url: str) -> int:
    """Increment the counter under the lock, and print each token."""
    async with AsyncClient(url, timeout=30) as client:
        for _ in range(ROUNDS):
            async with client.lock(LOCK, ttl=5) as held:
                found = await client.kv.get(KEY)
                count = int(found.value) + 1 if found else 1
                await client.kv.put(KEY, str(count))
                print(held.token, flush=True)
                await asyncio.sleep(0.02)
    return 0


async def _tour(cluster: LocalCluster) -> int:
    begin = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - begin:6.2f} s  {text}", flush=True)

    tell("starting three nodes on this machine")
    cluster.start()
    try:
        leader = await cluster.ready()
        tell(f"{leader.name} leads; {WORKERS} processes now count to {WORKERS * ROUNDS}")
        workers = [_start_worker(cluster.url) for _ in range(WORKERS)]
        outputs = asyncio.gather(*(asyncio.to_thread(_finish, worker) for worker in workers))
        gap = await _kill_and_measure(cluster, leader, tell)
        tokens = [token for output in await outputs for token in output]
        async with AsyncClient(cluster.url) as client:
            found = await client.kv.get(KEY)
        count = int(found.value) if found else 0
        tell(f"no write got through for {gap:.2f} s; the client waited and went on")
        tell(f"{len(tokens)} tokens were given out, {len(set(tokens))} of them different")
        exact = count == WORKERS * ROUNDS == len(set(tokens))
        tell(f"the counter says {count}: {'exact' if exact else 'WRONG'}")
        return 0 if exact else 1
    finally:
        await asyncio.to_thread(cluster.stop)


def _start_worker(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "quorate", "demo", "--worker", url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  ourselves


def _finish(worker: subprocess.Popen[str]) -> list[int]:
    output, _ = worker.communicate(timeout=120)
    return [int(json.loads(line)) for line in output.splitlines()]


async def _kill_and_measure(
    cluster: LocalCluster, leader: LocalNode, tell: Callable[[str], None]
) -> float:
    """Kill the leader once the counting is under way; return the longest gap between writes."""
    async with AsyncClient(cluster.url, timeout=30) as client:
        async with asyncio.timeout(60):
            while (found := await client.kv.get(KEY)) is None or int(found.value) < WORKERS:  # noqa: ASYNC110  other processes count
                await asyncio.sleep(0.02)
        last, gap, end = time.monotonic(), 0.0, time.monotonic() + 3
        leader.kill()
        tell(f"killed the leader {leader.name} with SIGKILL")
        while time.monotonic() < end:
            await client.kv.put("demo/heartbeat", "x")
            gap = max(gap, time.monotonic() - last)
            last = time.monotonic()
            await asyncio.sleep(0.005)
    successor = await cluster.ready()
    tell(f"{successor.name} leads now")
    return gap

"""Run the comparison, print the table, exit 1 when a floor is missed."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import uvloop

from benchmarks.coordination import report, workloads
from benchmarks.coordination.peers import PEERS, Peer

WORKLOAD_SECONDS = 60.0
WARM_UP_SECONDS = 1.0


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coordination", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--data-dir", type=Path, help="where the temporary directory is made")
    parser.add_argument("--peers", default="quorate,etcd,zookeeper")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rounds, seconds = (1, 0.7) if options.quick else (options.rounds, 2.0)
    names = options.peers.split(",")
    with tempfile.TemporaryDirectory(
        prefix="coordination-", dir=options.data_dir, ignore_cleanup_errors=True
    ) as directory:
        samples = uvloop.run(measure(Path(directory), names, rounds, seconds))
    judged = report.rows(samples)
    if options.json:
        print(json.dumps([asdict(row) for row in judged], indent=2))
    else:
        print(report.table(judged, list(samples)))
    return int(any(row.missed for row in judged))


async def measure(directory: Path, names: list[str], rounds: int, seconds: float) -> report.Samples:
    """Start the peers, run every workload on each in turn, and end the peers."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    samples: report.Samples = {}
    async with AsyncExitStack() as stack:
        benches = []
        for name in names:
            peer = PEERS[name](directory / name)
            if not peer.available():
                print(f"{name} is not installed: left out", file=sys.stderr)
                continue
            samples[name] = {}
            benches.append(await _start(peer, seconds, stack))
        for bench in benches:
            # The first numbers would otherwise be those of cold caches and a starting JVM.
            await bench.driver.flood("put", 64, WARM_UP_SECONDS)
        for number in range(rounds):
            for workload in workloads.WORKLOADS:
                turn = number % len(benches)
                for bench in benches[turn:] + benches[:turn]:
                    await _measure_one(workload, bench, samples[bench.peer.name])
    return samples


async def _start(peer: Peer, seconds: float, stack: AsyncExitStack) -> workloads.Bench:
    stack.callback(peer.stop)
    peer.start()
    leader = await peer.ready()
    bench = workloads.Bench(peer, None, leader, seconds)  # type: ignore[arg-type]  # the next line makes it
    bench.driver = bench.new_driver()
    await bench.driver.open()
    stack.push_async_callback(_close, bench)
    await bench.driver.prepare()
    return bench


async def _close(bench: workloads.Bench) -> None:
    await bench.driver.close()


async def _measure_one(
    workload: workloads.Workload, bench: workloads.Bench, into: dict[str, list[float]]
) -> None:
    """Run one workload; one that fails leaves no number, and says so."""
    try:
        async with asyncio.timeout(WORKLOAD_SECONDS):
            numbers = await workload(bench)
    except Exception as error:  # noqa: BLE001  one failure must not lose the other numbers
        text = f"{bench.peer.name}: {workload.__name__} failed: {error!r}"
        print(text, file=sys.stderr)
        return
    for name, value in numbers.items():
        into.setdefault(name, []).append(value)
    if workload is workloads.failover:
        # A client of the old leader would measure the forwarding, or nothing at all.
        old, bench.driver = bench.driver, bench.new_driver()
        await bench.driver.open()
        await old.close()


if __name__ == "__main__":
    sys.exit(main())

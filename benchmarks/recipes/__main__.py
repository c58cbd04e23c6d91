"""Run the comparison, print the tables, exit 1 when a floor is missed."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import uvloop

from benchmarks.coordination import report
from benchmarks.coordination.peers import PEERS
from benchmarks.recipes import embedded
from benchmarks.recipes.metrics import EMBEDDED, METRICS
from benchmarks.recipes.workloads import WORKLOADS, Bench, Numbers, Workload, clients

WORKLOAD_SECONDS = 60.0
WARM_UP_SECONDS = 1.0
BUSY_SECONDS = 1.0


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--data-dir", type=Path, help="where the temporary directory is made")
    parser.add_argument("--peers", default="quorate,etcd,zookeeper")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rounds, seconds = (1, 0.5) if options.quick else (options.rounds, 0.6)
    names = options.peers.split(",")
    busy = psutil.cpu_percent(interval=BUSY_SECONDS)
    with tempfile.TemporaryDirectory(
        prefix="recipes-", dir=options.data_dir, ignore_cleanup_errors=True
    ) as directory:
        samples = uvloop.run(measure(Path(directory), names, rounds, seconds))
    here = {report.OURS: samples.pop(embedded.HERE)}
    compared, embedded_rows = report.rows(samples, METRICS), report.rows(here, EMBEDDED)
    print(report.table(compared, list(samples)))
    print()
    print(report.table(embedded_rows, list(here)))
    print(f"\nothers had {busy:.0f} % of the CPUs when it began")
    return int(any(row.missed for row in (*compared, *embedded_rows)))


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
            stack.callback(peer.stop)
            peer.start()
            benches.append(Bench(peer, await peer.ready(), seconds))
        for bench in benches:
            # The first numbers would otherwise be those of cold caches and a starting JVM.
            await clients(replace(bench, seconds=WARM_UP_SECONDS), "lock")
        for number in range(rounds):
            turn = number % len(benches)
            for workload, recipes in WORKLOADS:
                for recipe in recipes:
                    for bench in benches[turn:] + benches[:turn]:
                        if bench.has(recipe):
                            await _measure_one(workload, bench, recipe, samples[bench.peer.name])
            into = samples.setdefault(embedded.HERE, {})
            _note(await embedded.memory(seconds), into)
            _note(await asyncio.to_thread(embedded.memory_blocking, seconds), into)
            _note(await embedded.file(directory / f"file-{number}", seconds), into)
    return samples


async def _measure_one(
    workload: Workload, bench: Bench, recipe: str, into: dict[str, list[float]]
) -> None:
    """Run one workload; one that fails leaves no number, and says so."""
    try:
        async with asyncio.timeout(WORKLOAD_SECONDS):
            numbers = await workload(bench, recipe)
    except Exception as error:  # noqa: BLE001  one failure must not lose the other numbers
        text = f"{bench.peer.name}: {workload.__name__} of the {recipe} failed: {error!r}"
        print(text, file=sys.stderr)
    else:
        _note(numbers, into)


def _note(numbers: Numbers, into: dict[str, list[float]]) -> None:
    for name, value in numbers.items():
        into.setdefault(name, []).append(value)


if __name__ == "__main__":
    sys.exit(main())

"""Run whole clusters in virtual time, with every fault, and check what they promise.

A seed stands for one run: its cluster, its clients, its faults. The same seed on the same
release gives the same run, byte for byte. Exits with 1 when a promise was broken, and then
tells the story of it and the command that repeats it.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from quorate.cli.options import new_parser
from quorate.errors import InvalidRequest
from quorate.simulation.faults import FaultKind
from quorate.simulation.plan import Plan, draw_plan
from quorate.simulation.shrink import shrink
from quorate.simulation.story import page, timeline
from quorate.simulation.world import Result, World

HOUR: Final = 3600.0
VIOLATIONS_SHOWN: Final = 5
BATCH_PER_WORKER: Final = 16


class Settings(msgspec.Struct, frozen=True):
    """What every run of one command has in common."""

    nodes: int
    seconds: float
    kinds: tuple[FaultKind, ...]

    def plan(self, seed: int) -> Plan:
        """Return the plan of one seed."""
        return draw_plan(seed, nodes=self.nodes, seconds=self.seconds, kinds=self.kinds)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser("simulate", __doc__ or "", example="quorate simulate --seeds 0-99")
    parser.add_argument("--seed", type=int, metavar="N", help="run this one seed")
    parser.add_argument("--seeds", default="0-99", metavar="A-B", help="run these seeds")
    parser.add_argument("--minutes", type=float, metavar="M", help="go on from A for this long")
    parser.add_argument("--seconds", type=float, default=30.0, help="virtual time of a run")
    parser.add_argument("--nodes", type=int, default=0, metavar="N", help="0: drawn from the seed")
    parser.add_argument(
        "--faults",
        default="all",
        metavar="KIND,...",
        help="all, none, or some of: " + ", ".join(kind.value for kind in FaultKind),
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes"
    )
    parser.add_argument("--trace", metavar="FILE", help="write the events of one --seed as text")
    parser.add_argument("--html", metavar="FILE", help="write the history of one run as a page")
    parser.add_argument("--shrink", action="store_true", help="leave out what a failure needs not")
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
    return parser


def run(arguments: list[str]) -> int:
    """Run the seeds; 1 when a promise was broken."""
    parsed = build_parser().parse_args(arguments)
    settings = Settings(parsed.nodes, parsed.seconds, _kinds(parsed.faults))
    seeds = [parsed.seed] if parsed.seed is not None else _seeds(parsed.seeds, parsed.minutes)
    begin = time.perf_counter()
    results = list(_run_all(seeds, settings, parsed.workers))
    wall = time.perf_counter() - begin
    broken = [result for result in results if result.violations]
    if parsed.json:
        print(json.dumps(_summary(results, wall)))
    else:
        _print_summary(results, wall)
    logging.disable(logging.CRITICAL)
    if broken or parsed.trace or parsed.html:
        _tell((broken or results)[0], settings, parsed)
    return 1 if broken else 0


def _kinds(text: str) -> tuple[FaultKind, ...]:
    if text in ("all", "none"):
        return tuple(FaultKind) if text == "all" else ()
    try:
        return tuple(FaultKind(each.strip()) for each in text.split(","))
    except ValueError as error:
        raise InvalidRequest(f"{error}: see quorate simulate --help for the kinds") from None


def _seeds(text: str, minutes: float | None) -> Iterator[int] | range:
    first, _, last = text.partition("-")
    if not first.isdigit() or not (last or first).isdigit():
        raise InvalidRequest(f"seeds are written A-B, not {text!r}")
    if minutes is not None:
        return _until(int(first), time.monotonic() + 60 * minutes)
    return range(int(first), int(last or first) + 1)


def _until(seed: int, deadline: float) -> Iterator[int]:
    while time.monotonic() < deadline:
        yield seed
        seed += 1


def _run_one(task: tuple[int, Settings]) -> Result:
    seed, settings = task
    return World(settings.plan(seed)).run()


def _run_all(seeds: Any, settings: Settings, workers: int) -> Iterator[Result]:
    """Run the seeds on all workers, and show how far it is."""
    total = len(seeds) if isinstance(seeds, range | list) else None
    columns = (
        TextColumn("simulating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("seeds, {task.fields[hours]:.1f} hours, {task.fields[broken]} broken"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    hours, broken = 0.0, 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, hours=0.0, broken=0)
        for result in _results(seeds, settings, workers):
            hours += result.simulated_seconds / HOUR
            broken += bool(result.violations)
            progress.update(task, advance=1, hours=hours, broken=broken)
            yield result


def _results(seeds: Any, settings: Settings, workers: int) -> Iterator[Result]:
    tasks = ((seed, settings) for seed in seeds)
    if workers <= 1 or (isinstance(seeds, list) and len(seeds) == 1):
        _settle_in()
        yield from map(_run_one, tasks)
        return
    context = multiprocessing.get_context("forkserver")
    with context.Pool(workers, initializer=_settle_in) as pool:
        # A pool asks for all tasks at once: where time is the limit they must not all be made.
        while batch := list(islice(tasks, workers * BATCH_PER_WORKER)):
            yield from pool.imap_unordered(_run_one, batch, chunksize=1)


def _settle_in() -> None:
    """Make a process ready for many runs: what is loaded by now is never garbage."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()


def _summary(results: list[Result], wall: float) -> dict[str, object]:
    faults: dict[str, int] = {}
    for result in results:
        for kind, count in result.faults.items():
            faults[kind] = faults.get(kind, 0) + count
    return {
        "seeds": len(results),
        "simulated_seconds": sum(result.simulated_seconds for result in results),
        "wall_seconds": wall,
        "operations": sum(result.operations for result in results),
        "elections": sum(result.elections for result in results),
        "faults": faults,
        "violations": [
            {"seed": result.seed, "checker": each.checker, "at_ns": each.at, "text": each.text}
            for result in results
            for each in result.violations
        ],
    }


def _print_summary(results: list[Result], wall: float) -> None:
    simulated = sum(result.simulated_seconds for result in results)
    busy = sum(result.wall_seconds for result in results)
    faults = sum(sum(result.faults.values()) for result in results)
    print(
        f"{len(results)} seeds, {simulated / HOUR:.2f} hours simulated in {wall:.0f} s: "
        f"{simulated / max(busy, 1e-9):.0f} times real time on one core"
    )
    print(
        f"{sum(result.operations for result in results)} operations checked, {faults} faults, "
        f"{sum(result.elections for result in results)} elections"
    )
    for result in [each for each in results if each.violations][:VIOLATIONS_SHOWN]:
        print(f"seed {result.seed}: {result.violations[0].checker}: {result.violations[0].text}")


def _tell(result: Result, settings: Settings, arguments: argparse.Namespace) -> None:
    """Repeat one run for its story, smaller if that is wanted."""
    plan = settings.plan(result.seed)
    out = sys.stderr
    if arguments.shrink and result.violations:
        before = len(plan.faults)
        plan = shrink(plan, result.violations[0].checker, lambda _, __: None)
        print(f"\nof {before} faults the failure needs these {len(plan.faults)}:", file=out)
        for fault in plan.faults:
            print(f"  {fault}", file=out)
    world = World(plan, story=True)
    again = world.run()
    lines = world.scheduler.trace.lines or []
    command = f"quorate simulate --seed {result.seed}"
    command += f" --nodes {settings.nodes}" if settings.nodes else ""
    command += f" --seconds {settings.seconds:g}" if settings.seconds != 30.0 else ""
    command += f" --faults '{arguments.faults}'" if arguments.faults != "all" else ""
    if again.violations:
        print(f"\n{timeline(lines, again.violations[0])}", file=out)
        print(f"\nto repeat it: {command}", file=out)
    if arguments.trace:
        text = "".join(f"{at} {what}\n" for at, what in lines) + f"digest {again.trace}\n"
        Path(arguments.trace).write_text(text)
    if arguments.html:
        Path(arguments.html).write_text(page(world.evidence, lines, command, world.scheduler.now))

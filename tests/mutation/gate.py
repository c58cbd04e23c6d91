"""The mutation gate: every mutant of the product must be killed by a seed that it passes without.

`python -m tests.mutation.gate [--minutes 10] [--mutant NAME] [--write]`. Prints a table and
exits with 1 when fewer than 95 % are killed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from tests.mutation.mutants import MUTANTS, Mutant

KILLED_MIN = 0.95
LOOK_SECONDS = 12.0
SLICE_SECONDS = 60.0
OVERHEAD_SECONDS = 2.0
"""What a process needs to start, and to repeat a seed without the mutant."""
TABLE = Path(__file__).parents[2] / "docs" / "internals" / "mutation-gate.md"


class Verdict(NamedTuple):
    """What came of one mutant. `seed` -1: it survived."""

    mutant: Mutant
    seed: int
    seeds: int
    seconds: float
    checker: str


def try_seeds(mutant: Mutant, seconds: float, first: int = 0) -> Verdict:
    """Run seeds on the mutant, in a process of its own, until a checker fires."""
    begin = time.monotonic()
    index = str(MUTANTS.index(mutant))
    command = [sys.executable, "-m", "tests.mutation.run", "--mutant", index]
    try:
        done = subprocess.run(
            [*command, str(seconds), str(first)],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
        found = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        found = {"seed": -1, "seeds": first, "checker": "none: the run did not end"}
    return Verdict(
        mutant, found["seed"], found["seeds"], time.monotonic() - begin, found["checker"]
    )


def judge(mutant: Mutant, seconds: float, first: int = 0) -> Verdict:
    """Return the verdict; a seed that breaks the unmutated product too kills nothing."""
    verdict = try_seeds(mutant, seconds, first)
    if verdict.seed < 0:
        return verdict
    index = str(MUTANTS.index(mutant))
    clean = subprocess.run(
        [sys.executable, "-m", "tests.mutation.run", "--clean", index, str(verdict.seed)],
        check=False,
        capture_output=True,
    )
    if clean.returncode:
        return verdict._replace(seed=-1, checker="none: the product itself breaks")
    return verdict


def judge_all(mutants: Sequence[Mutant], minutes: float) -> Iterator[Verdict]:
    """Judge mutants on all cores: a short look at each, then the rest of the time for the hard.

    A hard one goes on where its short look ended.
    """
    workers = os.cpu_count() or 1
    until = time.monotonic() + 60.0 * minutes
    with ThreadPoolExecutor(workers) as pool:
        hard = []
        for verdict in pool.map(lambda mutant: judge(mutant, LOOK_SECONDS), mutants):
            if verdict.seed < 0:
                hard.append(verdict)
            else:
                yield verdict
        while hard and time.monotonic() < until:
            seconds = (until - time.monotonic()) * workers / len(hard) - OVERHEAD_SECONDS
            slice_ = max(LOOK_SECONDS, min(SLICE_SECONDS, seconds))
            tried = list(pool.map(_go_on, hard, repeat(slice_)))
            yield from (verdict for verdict in tried if verdict.seed >= 0)
            hard = [verdict for verdict in tried if verdict.seed < 0]
        yield from hard


def _go_on(last: Verdict, seconds: float) -> Verdict:
    verdict = judge(last.mutant, seconds, last.seeds)
    return verdict._replace(seconds=last.seconds + verdict.seconds)


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a table in Markdown."""
    lines = ["| mutant | seeds to kill | seconds | checker |", "|---|---|---|---|"]
    for each in verdicts:
        seeds = str(each.seeds) if each.seed >= 0 else f"survived {each.seeds}"
        lines.append(f"| {each.mutant.name} | {seeds} | {each.seconds:.1f} | {each.checker} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Run the gate."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.gate", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--mutant", default="", help="part of a name")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    parsed = parser.parse_args(arguments)
    chosen = [mutant for mutant in MUTANTS if parsed.mutant in mutant.name]
    begin = time.monotonic()
    verdicts = []
    for verdict in judge_all(chosen, parsed.minutes):
        verdicts.append(verdict)
        state = "killed" if verdict.seed >= 0 else "SURVIVED"
        print(f"{state:9} {verdict.mutant.name} ({verdict.checker})", file=sys.stderr, flush=True)
    verdicts.sort(key=lambda verdict: MUTANTS.index(verdict.mutant))
    killed = sum(verdict.seed >= 0 for verdict in verdicts)
    summary = (
        f"{killed} of {len(verdicts)} mutants killed in {time.monotonic() - begin:.0f} s "
        f"on {os.cpu_count()} cores"
    )
    print(f"{table(verdicts)}\n\n{summary}")
    if parsed.write:
        head, _, _ = TABLE.read_text().partition("| mutant |")
        TABLE.write_text(f"{head}{table(verdicts)}\n\n{summary}.\n")
    return int(killed < KILLED_MIN * len(verdicts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

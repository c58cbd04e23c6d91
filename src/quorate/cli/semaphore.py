"""Run a command under a semaphore: at most so many of them at once, on all machines.

The command finds the fencing token in QUORATE_FENCING_TOKEN and the semaphore's name in
QUORATE_SEMAPHORE. When its permit is lost the command is ended, and the exit code is 75.
"""

from __future__ import annotations

import argparse

from quorate.cli.claiming import claiming_parser, run_claiming
from quorate.client.asynchronous import AsyncClient
from quorate.recipes import Claim


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before the command to run."""
    parser = claiming_parser(
        "semaphore", __doc__ or "", options="-n N ", example="imports -n 4 -- ./import.sh"
    )
    parser.add_argument(
        "-n",
        "--permits",
        type=int,
        required=True,
        metavar="N",
        help="how many may run at once",
    )
    return parser


def run(arguments: list[str]) -> int:
    """Run a command under a semaphore and return its exit code."""
    return run_claiming(build_parser(), arguments, _make, {"QUORATE_SEMAPHORE": "{name}"})


def _make(client: AsyncClient, arguments: argparse.Namespace) -> Claim:
    return client.semaphore(arguments.name, arguments.permits, ttl=arguments.ttl)

"""Run a command while this process leads.

It waits until it is elected, runs the command, and resigns when the command ends. The command
finds the fencing token in QUORATE_FENCING_TOKEN and the election's name in QUORATE_ELECTION.
When leadership is lost the command is ended, and the exit code is 75. `--value` is what others
read of the leader.
"""

from __future__ import annotations

import argparse
import os
import platform

from quorate.cli.claiming import claiming_parser, run_claiming
from quorate.client.asynchronous import AsyncClient
from quorate.recipes import Claim


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before the command to run."""
    parser = claiming_parser(
        "elect",
        __doc__ or "",
        options="[--value TEXT] ",
        example="scheduler --value 10.0.0.7:9000 -- ./scheduler",
    )
    parser.add_argument(
        "--value",
        default=f"{platform.node()}:{os.getpid()}",
        metavar="TEXT",
        help="what others read of this leader (default: the host and the process)",
    )
    return parser


def run(arguments: list[str]) -> int:
    """Run a command while leading and return its exit code."""
    return run_claiming(build_parser(), arguments, _make, {"QUORATE_ELECTION": "{name}"})


def _make(client: AsyncClient, arguments: argparse.Namespace) -> Claim:
    return client.election(arguments.name, arguments.value, ttl=arguments.ttl)

"""Run a command under a distributed lock.

The command finds the fencing token in QUORATE_FENCING_TOKEN and the lock's name in
QUORATE_LOCK. Its exit code is returned. When the lock is lost the command is ended, first
politely, then with SIGKILL, and the exit code is 75.
"""

from __future__ import annotations

import argparse

from quorate.cli.claiming import claiming_parser, run_claiming
from quorate.client.asynchronous import AsyncClient
from quorate.recipes import Claim


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before the command to run."""
    return claiming_parser(
        "lock",
        __doc__ or "",
        options="",
        example="jobs/nightly --timeout 60 -- ./nightly.sh --all",
    )


def run(arguments: list[str]) -> int:
    """Run a command under a lock and return its exit code."""
    return run_claiming(build_parser(), arguments, _make, {"QUORATE_LOCK": "{name}"})


def _make(client: AsyncClient, arguments: argparse.Namespace) -> Claim:
    return client.lock(arguments.name, ttl=arguments.ttl)

"""Running a command of the shell while something is held: a lock, a permit, an office.

The command finds the fencing token in QUORATE_FENCING_TOKEN. When what is held is lost, the
command is ended, first politely, then with SIGKILL.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from quorate.cli.options import DEADLINE_SECONDS, add_cluster, new_parser, with_client
from quorate.cli.running import exit_code, split_command, start_command
from quorate.client.asynchronous import AsyncClient
from quorate.errors import LockTimeout
from quorate.recipes import Claim, HeldLock

EXIT_LOST: Final = 75
GRACE_SECONDS: Final = 2.0


def claiming_parser(
    command: str, about: str, *, options: str, example: str
) -> argparse.ArgumentParser:
    """Return the parser of what stands before the command to run."""
    parser = new_parser(command, about, example=f"quorate {command} {example}")
    parser.usage = f"quorate {command} NAME {options}[--ttl S] [--timeout S] -- COMMAND..."
    parser.add_argument("name", help="its name; the keys are under NAME/")
    parser.add_argument(
        "--ttl",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long others wait for a holder that died (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        dest="patience",
        type=float,
        metavar="SECONDS",
        help="give up, with exit code 3, when one's turn does not come within so long; 0 tries "
        "once (default: wait as long as it takes)",
    )
    # The deadline of the single calls stays what it is for every command.
    parser.set_defaults(timeout=DEADLINE_SECONDS)
    add_cluster(parser)
    return parser


def run_claiming(
    parser: argparse.ArgumentParser,
    arguments: list[str],
    make: Callable[[AsyncClient, argparse.Namespace], Claim],
    environment: Mapping[str, str],
) -> int:
    """Run what follows "--" while the claim is held; return its exit code, or EXIT_LOST.

    `environment` has further variables for it, in which {name} stands for the claim's name.
    """
    arguments, command = split_command(arguments)
    parsed = parser.parse_args(arguments)
    if not command:
        parser.error(f"say what to run: {parser.prog} NAME -- COMMAND...")
    variables = {key: text.format(name=parsed.name) for key, text in environment.items()}

    async def body(client: AsyncClient) -> int:
        claim = make(client, parsed)
        held = await _acquire(claim, parsed.patience)
        return await _run_held(claim, held, command, variables)

    return with_client(parsed, body)


async def _run_held(
    claim: Claim, held: HeldLock, command: list[str], variables: Mapping[str, str]
) -> int:
    environment = {**os.environ, **variables, "QUORATE_FENCING_TOKEN": str(held.token)}
    process = await start_command(command, environment)
    if isinstance(process, int):
        await claim.release()
        return process
    lost = asyncio.ensure_future(held.wait_lost())
    lost.add_done_callback(lambda done: None if done.cancelled() else _end(process))
    try:
        code = await process.wait()
        was_lost = held.lost
    finally:
        lost.cancel()
        await claim.release()
    if was_lost:
        message = f"quorate: the {claim.kind} {held.name!r} was lost, the command was ended"
        print(message, file=sys.stderr)
        return EXIT_LOST
    return exit_code(code)


async def _acquire(claim: Claim, patience: float | None) -> HeldLock:
    if patience is None or patience > 0:
        return await claim.acquire(timeout=patience)
    held = await claim.try_acquire()
    if held is None:
        raise LockTimeout(f"the {claim.kind} is not free now: wait for it with a larger --timeout")
    return held


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        asyncio.get_running_loop().call_later(GRACE_SECONDS, _kill, process)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()

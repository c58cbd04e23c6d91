"""Run a command under a distributed lock.

The command finds the fencing token in QUORATE_FENCING_TOKEN and the lock's name in
QUORATE_LOCK. Its exit code is returned. When the lock is lost the command is ended, first
politely, then with SIGKILL, and the exit code is 75.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Final

from quorate.cli.options import DEADLINE_SECONDS, add_cluster, new_parser, with_client
from quorate.client.asynchronous import AsyncClient
from quorate.errors import LockTimeout
from quorate.recipes import HeldLock, Lock

EXIT_LOST: Final = 75
GRACE_SECONDS: Final = 2.0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before the command to run."""
    parser = new_parser(
        "lock",
        __doc__ or "",
        example="quorate lock jobs/nightly --timeout 60 -- ./nightly.sh --all",
    )
    parser.usage = "quorate lock NAME [--ttl S] [--timeout S] -- COMMAND..."
    parser.add_argument("name", help="the lock's name; its keys are under NAME/")
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
        help="give up, with exit code 3, when the lock is not free within so long; 0 tries once "
        "(default: wait as long as it takes)",
    )
    # The deadline of the single calls stays what it is for every command.
    parser.set_defaults(timeout=DEADLINE_SECONDS)
    add_cluster(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Run a command under a lock and return its exit code."""
    command: list[str] = []
    if "--" in arguments:
        place = arguments.index("--")
        arguments, command = arguments[:place], arguments[place + 1 :]
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if not command:
        parser.error("say what to run: quorate lock NAME -- COMMAND...")
    return with_client(parsed, lambda client: _run_locked(client, parsed, command))


async def _run_locked(
    client: AsyncClient, arguments: argparse.Namespace, command: list[str]
) -> int:
    lock = client.lock(arguments.name, ttl=arguments.ttl)
    held = await _acquire(lock, arguments.patience)
    environment = {
        **os.environ,
        "QUORATE_FENCING_TOKEN": str(held.token),
        "QUORATE_LOCK": arguments.name,
    }
    try:
        process = await asyncio.create_subprocess_exec(*command, env=environment)
    except OSError as error:
        await lock.release()
        print(f"quorate: {command[0]} can't be run: {error}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126
    lost = asyncio.ensure_future(held.wait_lost())
    lost.add_done_callback(lambda done: None if done.cancelled() else _end(process))
    try:
        code = await process.wait()
        was_lost = held.lost
    finally:
        lost.cancel()
        await lock.release()
    if was_lost:
        message = f"quorate: the lock {arguments.name!r} was lost, the command was ended"
        print(message, file=sys.stderr)
        return EXIT_LOST
    return code if code >= 0 else 128 - code


async def _acquire(lock: Lock, patience: float | None) -> HeldLock:
    if patience is None or patience > 0:
        return await lock.acquire(timeout=patience)
    held = await lock.try_acquire()
    if held is None:
        raise LockTimeout("the lock is not free now: wait for it with a larger --timeout")
    return held


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        asyncio.get_running_loop().call_later(GRACE_SECONDS, _kill, process)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()

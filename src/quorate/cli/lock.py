"""`quorate lock NAME -- COMMAND...`: run a command under a distributed lock.

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

from quorate.cli.options import add_connection, with_client
from quorate.client.asynchronous import AsyncClient

EXIT_LOST: Final = 75
GRACE_SECONDS: Final = 2.0


def run(arguments: list[str]) -> int:
    """Run a command under a lock and return its exit code."""
    command: list[str] = []
    if "--" in arguments:
        place = arguments.index("--")
        arguments, command = arguments[:place], arguments[place + 1 :]
    parser = argparse.ArgumentParser(
        prog="quorate lock",
        usage="quorate lock NAME [--ttl S] [--wait S] -- COMMAND...",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name")
    parser.add_argument("--ttl", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--wait", type=float, metavar="SECONDS", help="give up after this long")
    add_connection(parser)
    parsed = parser.parse_args(arguments)
    if not command:
        parser.error("say what to run: quorate lock NAME -- COMMAND...")
    return with_client(parsed, lambda client: _run_locked(client, parsed, command))


async def _run_locked(
    client: AsyncClient, arguments: argparse.Namespace, command: list[str]
) -> int:
    lock = client.lock(arguments.name, ttl=arguments.ttl)
    held = await lock.acquire(timeout=arguments.wait)
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


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        asyncio.get_running_loop().call_later(GRACE_SECONDS, _kill, process)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()

"""Put elements into a queue, take them, or run a command with one."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys

from quorate.cli.options import (
    add_command,
    add_commands,
    add_connection,
    new_parser,
    with_client,
)
from quorate.cli.running import exit_code, split_command
from quorate.client.asynchronous import AsyncClient


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser("queue", __doc__ or "")
    commands = add_commands(parser)
    put = add_command(
        commands, "put", "add an element", example="quorate queue put jobs 'print the letters'"
    )
    put.add_argument("name")
    put.add_argument("value", help="the element; - reads it from standard input")
    put.add_argument(
        "--priority",
        type=int,
        default=128,
        metavar="N",
        help="0 to 255; 0 is taken first (default: %(default)s)",
    )
    add_connection(put)
    take = add_command(
        commands,
        "take",
        "take an element and print it, or give it to a command's standard input",
        about="With a command it is finished once that exits with 0, and given back otherwise. "
        "The\ncommand finds the fencing token in QUORATE_FENCING_TOKEN.",
        example="quorate queue take jobs -- ./work.sh",
    )
    take.add_argument("name")
    add_connection(take)
    size = add_command(
        commands, "size", "print how many elements there are", example="quorate queue size jobs"
    )
    size.add_argument("name")
    add_connection(size)
    return parser


def run(arguments: list[str]) -> int:
    """Run one `quorate queue` command; `take` exits as the command that it ran."""
    arguments, command = split_command(arguments)
    parsed = build_parser().parse_args(arguments)

    async def body(client: AsyncClient) -> int:
        if parsed.command == "take":
            return await _take(client, parsed, command)
        return await (_put if parsed.command == "put" else _size)(client, parsed)

    return with_client(parsed, body)


async def _put(client: AsyncClient, arguments: argparse.Namespace) -> int:
    value = sys.stdin.buffer.read() if arguments.value == "-" else arguments.value.encode()
    await client.queue(arguments.name).put(value, priority=arguments.priority)
    if arguments.json:
        print(json.dumps({"bytes": len(value)}))
    return 0


async def _size(client: AsyncClient, arguments: argparse.Namespace) -> int:
    size = await client.queue(arguments.name).size()
    print(json.dumps({"size": size}) if arguments.json else size)
    return 0


class _CommandFailed(Exception):  # noqa: N818  a way out of the body, not an error of ours
    """The command did not do its work; `args` has its exit code."""


async def _take(client: AsyncClient, arguments: argparse.Namespace, command: list[str]) -> int:
    try:
        async with client.queue(arguments.name).take() as element:
            if not command:
                _print(element.value, element.token, arguments)
                return 0
            environment = {**os.environ, "QUORATE_FENCING_TOKEN": str(element.token)}
            await _work(command, environment, element.value)
            return 0
    except _CommandFailed as failed:
        print("quorate: the command failed, the element was given back", file=sys.stderr)
        return int(failed.args[0])


async def _work(command: list[str], environment: dict[str, str], value: bytes) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=asyncio.subprocess.PIPE
    )
    await process.communicate(value)
    code = process.returncode or 0
    if code:
        raise _CommandFailed(exit_code(code))


def _print(value: bytes, token: int, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps({"value": value.decode(errors="replace"), "token": token}))
    else:
        sys.stdout.buffer.write(value + b"\n")
        sys.stdout.buffer.flush()

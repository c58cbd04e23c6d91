"""Raise a barrier, lift it, or wait until it is lifted."""

from __future__ import annotations

import argparse
import asyncio
import json

from quorate.cli.options import (
    DEADLINE_SECONDS,
    add_cluster,
    add_command,
    add_commands,
    add_connection,
    add_json,
    new_parser,
    with_client,
)
from quorate.client.asynchronous import AsyncClient
from quorate.errors import LockTimeout


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser("barrier", __doc__ or "")
    commands = add_commands(parser)
    for name, short in (
        ("raise", "let everybody wait who comes from now on"),
        ("lift", "let everybody go on"),
    ):
        command = add_command(commands, name, short, example=f"quorate barrier {name} deploy")
        command.add_argument("name", help="its name; the key is NAME/barrier")
        add_connection(command)
    wait = add_command(
        commands,
        "wait",
        "wait until it is lifted; at once done when it is not up",
        example="quorate barrier wait deploy --timeout 60 && ./start.sh",
    )
    wait.add_argument("name", help="its name; the key is NAME/barrier")
    wait.add_argument(
        "--timeout",
        dest="patience",
        type=float,
        metavar="SECONDS",
        help="give up, with exit code 3, when it is not lifted within so long (default: wait as "
        "long as it takes)",
    )
    # The deadline of the single calls stays what it is for every command.
    wait.set_defaults(timeout=DEADLINE_SECONDS)
    add_cluster(wait)
    add_json(wait)
    return parser


def run(arguments: list[str]) -> int:
    """Run one `quorate barrier` command."""
    parsed = build_parser().parse_args(arguments)

    async def body(client: AsyncClient) -> int:
        barrier = client.barrier(parsed.name)
        if parsed.command == "raise":
            await barrier.raise_()
        elif parsed.command == "lift":
            await barrier.lift()
        else:
            await _wait(client, parsed.name, parsed.patience)
        if parsed.json:
            print(json.dumps({"name": parsed.name, "up": parsed.command == "raise"}))
        return 0

    return with_client(parsed, body)


async def _wait(client: AsyncClient, name: str, patience: float | None) -> None:
    try:
        async with asyncio.timeout(patience):
            await client.barrier(name).wait()
    except TimeoutError as error:
        raise LockTimeout(
            f"the barrier {name!r} was not lifted within {patience:g} s: wait longer, or lift it"
        ) from error

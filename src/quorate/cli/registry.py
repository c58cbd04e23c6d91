"""See the instances of a service, or run a command that is one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
from typing import Any

from quorate.cli.options import (
    DEADLINE_SECONDS,
    add_cluster,
    add_command,
    add_commands,
    add_connection,
    new_parser,
    with_client,
)
from quorate.cli.running import exit_code, split_command, start_command
from quorate.client.asynchronous import AsyncClient
from quorate.recipes import Instance


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser("registry", __doc__ or "")
    commands = add_commands(parser)
    for name, short in (
        ("list", "print the instances of a service"),
        ("watch", "print who is there, and then who joins, changes and leaves"),
    ):
        command = add_command(commands, name, short, example=f"quorate registry {name} api --json")
        command.add_argument("name", help="the service; the keys are under NAME/members/")
        add_connection(command)
    register = add_command(
        commands,
        "register",
        "run a command that is an instance of a service",
        about="It is registered while the command runs, and again by itself when its lease was\n"
        "lost. The exit code is the command's; SIGTERM is handed on to it. It finds the\n"
        "service's name in QUORATE_SERVICE and the instance's id in QUORATE_INSTANCE.",
        example="quorate registry register api 10.0.0.7:8080 --metadata zone=a -- ./serve.sh",
    )
    register.add_argument("name", help="the service; the keys are under NAME/members/")
    register.add_argument("address", help="where it is reached: host:port, [host]:port for IPv6")
    register.add_argument(
        "--metadata",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what others may know of it; may be given several times",
    )
    register.add_argument(
        "--weight",
        type=int,
        default=1,
        metavar="N",
        help="how often it is picked, compared with others; 0: never (default: %(default)s)",
    )
    register.add_argument(
        "--ttl",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long others see it after it died (default: %(default)s)",
    )
    register.set_defaults(timeout=DEADLINE_SECONDS)
    add_cluster(register)
    return parser


def run(arguments: list[str]) -> int:
    """Run one `quorate registry` command; `register` exits as the command that it ran."""
    arguments, command = split_command(arguments)
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if parsed.command == "register":
        if not command:
            parser.error("say what to run: quorate registry register NAME ADDRESS -- COMMAND...")
        for pair in parsed.metadata:
            if not pair.partition("=")[0] or "=" not in pair:
                parser.error(f"{pair!r} is no metadata: write --metadata KEY=VALUE")

    async def body(client: AsyncClient) -> int:
        if parsed.command == "register":
            return await _register(client, parsed, command)
        return await (_list if parsed.command == "list" else _watch)(client, parsed)

    return with_client(parsed, body)


async def _list(client: AsyncClient, arguments: argparse.Namespace) -> int:
    for instance in await client.registry(arguments.name).instances():
        print(json.dumps(_document(instance)) if arguments.json else _line(instance))
    return 0


async def _watch(client: AsyncClient, arguments: argparse.Namespace) -> int:
    async for kind, instance in client.registry(arguments.name).changes():
        if arguments.json:
            print(json.dumps({"kind": kind, **_document(instance)}), flush=True)
        else:
            print(f"{kind:<7} {_line(instance)}", flush=True)
    return 0


async def _register(client: AsyncClient, arguments: argparse.Namespace, command: list[str]) -> int:
    pairs = (pair.partition("=") for pair in arguments.metadata)
    metadata = {key: value for key, _, value in pairs}
    registry = client.registry(arguments.name, ttl=arguments.ttl)
    async with registry.register(
        arguments.address, metadata=metadata, weight=arguments.weight
    ) as own:
        names = {"QUORATE_SERVICE": arguments.name, "QUORATE_INSTANCE": own.id}
        process = await start_command(command, {**os.environ, **names})
        if isinstance(process, int):
            return process
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, _end, process)
        try:
            return exit_code(await process.wait())
        finally:
            loop.remove_signal_handler(signal.SIGTERM)


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()


def _line(instance: Instance) -> str:
    said = " ".join(f"{key}={value}" for key, value in sorted(instance.metadata.items()))
    return f"{instance.id} {instance.address:<22} weight {instance.weight} {said}".rstrip()


def _document(instance: Instance) -> dict[str, Any]:
    return {
        "id": instance.id,
        "address": instance.address,
        "metadata": instance.metadata,
        "weight": instance.weight,
    }

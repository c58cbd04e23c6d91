"""Get, put, delete, range and watch keys."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from typing import Any

from quorate.cli.options import (
    add_command,
    add_commands,
    add_connection,
    new_parser,
    with_client,
)
from quorate.client.asynchronous import AsyncClient
from quorate.store.types import EventKind, KeyValue, prefix_end


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser("kv", __doc__ or "")
    commands = add_commands(parser)
    for name, positionals, short, example in (
        ("get", ("key",), "print a key's value; exits with 1 when there is none", "stock/apples"),
        ("put", ("key", "value"), "write a key (value -: standard input)", "stock/apples 10"),
        ("delete", ("key",), "delete a key", "stock/apples"),
        ("range", ("prefix",), "print the keys with a prefix and their values", "stock/"),
        ("watch", ("prefix",), "print what happens to keys with a prefix", "stock/ --json"),
    ):
        command = add_command(commands, name, short, example=f"quorate kv {name} {example}")
        for positional in positionals:
            command.add_argument(positional)
        add_connection(command)
    return parser


def run(arguments: list[str]) -> int:
    """Run one `quorate kv` command; `get` exits with 1 when the key is absent."""
    parsed = build_parser().parse_args(arguments)
    return with_client(parsed, lambda client: _COMMANDS[parsed.command](client, parsed))


async def _get(client: AsyncClient, arguments: argparse.Namespace) -> int:
    found = await client.kv.get(arguments.key)
    if found is None:
        print(f"quorate: there is no key {arguments.key!r}", file=sys.stderr)
        return 1
    _print(found, arguments)
    return 0


async def _put(client: AsyncClient, arguments: argparse.Namespace) -> int:
    value = sys.stdin.buffer.read() if arguments.value == "-" else arguments.value
    revision = await client.kv.put(arguments.key, value)
    print(json.dumps({"revision": revision}) if arguments.json else f"revision {revision}")
    return 0


async def _delete(client: AsyncClient, arguments: argparse.Namespace) -> int:
    result = await client.kv.delete(arguments.key)
    answer = {"deleted": result.deleted, "revision": result.revision}
    print(json.dumps(answer) if arguments.json else f"deleted {result.deleted}")
    return 0


async def _range(client: AsyncClient, arguments: argparse.Namespace) -> int:
    start, revision, more = arguments.prefix.encode(), 0, True
    prefix = start
    while more:
        page = await client.kv.range(start, prefix_end(prefix), revision=revision, limit=1000)
        for found in page.items:
            _print(found, arguments, named=found.key)
        more, revision = page.more, page.revision
        if page.items:
            start = page.items[-1].key + b"\0"
    return 0


async def _watch(client: AsyncClient, arguments: argparse.Namespace) -> int:
    async with client.kv.watch(prefix=arguments.prefix) as events:
        async for event in events:
            kind = "put" if event.kind is EventKind.PUT else "delete"
            if arguments.json:
                print(json.dumps({"kind": kind, **_document(event.kv)}), flush=True)
            else:
                shown = event.kv.value.decode(errors="replace")
                print(f"{kind} {event.kv.key.decode(errors='replace')} {shown}", flush=True)
    return 0


_COMMANDS = {"get": _get, "put": _put, "delete": _delete, "range": _range, "watch": _watch}


def _print(found: KeyValue, arguments: argparse.Namespace, named: bytes = b"") -> None:
    if arguments.json:
        print(json.dumps(_document(found)))
        return
    prefix = named + b" " if named else b""
    sys.stdout.buffer.write(prefix + found.value + b"\n")
    sys.stdout.buffer.flush()


def _document(found: KeyValue) -> dict[str, Any]:
    return {
        "key": found.key.decode(errors="replace"),
        "value": found.value.decode(errors="replace"),
        "value_base64": base64.b64encode(found.value).decode(),
        "create_revision": found.create_revision,
        "mod_revision": found.mod_revision,
        "version": found.version,
        "lease": found.lease,
    }

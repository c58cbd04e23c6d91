"""What several commands share: the URL, and the loop that runs them."""

from __future__ import annotations

import argparse
import asyncio
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import uvloop

from quorate.client.asynchronous import AsyncClient
from quorate.engines.cluster import ClusterStore
from quorate.errors import UnsupportedByEngine
from quorate.runtime.transport.tls import TlsConfig

Result = TypeVar("Result")
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  it has no public name
DEADLINE_SECONDS: Final = 10.0


def new_parser(name: str, about: str, *, example: str = "") -> argparse.ArgumentParser:
    """Return the parser of a command; `about` is what its help says, before an example."""
    return argparse.ArgumentParser(prog=f"quorate {name}", **_help(about, example))


def add_commands(parser: argparse.ArgumentParser) -> Commands:
    """Let a parser choose between commands; the chosen one is in `arguments.command`."""
    return parser.add_subparsers(dest="command", required=True, metavar="COMMAND")


def add_command(
    commands: Commands, name: str, short: str, *, about: str = "", example: str = ""
) -> argparse.ArgumentParser:
    """Add one command; `short` stands in the list, `about` adds to it in its own help."""
    text = f"{short[0].upper()}{short[1:]}.\n\n{about}".strip()
    return commands.add_parser(name, help=short, **_help(text, example))


def _help(about: str, example: str) -> dict[str, Any]:
    return {
        "description": about,
        "epilog": f"example:\n{textwrap.indent(example, '  ')}" if example else None,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the cluster is, how long to try, and how to print."""
    add_cluster(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEADLINE_SECONDS,
        metavar="SECONDS",
        help="give up when nobody answers for so long (default: %(default)s)",
    )
    add_json(parser)


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the cluster is."""
    parser.add_argument(
        "--url", help="quorate://host:port,... or another engine's (default: $QUORATE_URL)"
    )
    add_tls(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for output that machines read."""
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Add the options for mutual TLS."""
    parser.add_argument("--tls-certificate", default="", metavar="FILE", help="PEM, for mutual TLS")
    parser.add_argument("--tls-key", default="", metavar="FILE", help="the certificate's key")
    parser.add_argument(
        "--tls-authority", default="", metavar="FILE", help="who signs the other side's"
    )


def tls_of(arguments: argparse.Namespace) -> TlsConfig | None:
    """Return the TLS configuration that the options ask for."""
    if not (arguments.tls_certificate or arguments.tls_key or arguments.tls_authority):
        return None
    return TlsConfig(
        certificate=arguments.tls_certificate,
        key=arguments.tls_key,
        authority=arguments.tls_authority,
    )


def cluster_store(client: AsyncClient, what: str) -> ClusterStore:
    """Return the client's cluster; raises UnsupportedByEngine, which says `what` it lacks."""
    if not isinstance(client.store, ClusterStore):
        raise UnsupportedByEngine(f"{client.url} is no cluster: only quorate:// has {what}")
    return client.store


def with_client(
    arguments: argparse.Namespace, body: Callable[[AsyncClient], Awaitable[Result]]
) -> Result:
    """Run `body` with a client of the cluster that the options name."""

    async def call() -> Result:
        async with AsyncClient(
            arguments.url, tls=tls_of(arguments), timeout=arguments.timeout
        ) as client:
            return await body(client)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(call())

"""What several commands share: the URL, and the loop that runs them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

from quorate.client.asynchronous import AsyncClient
from quorate.runtime.transport.tls import TlsConfig

Result = TypeVar("Result")


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the cluster is."""
    parser.add_argument("--url", help="quorate://host:port,... (default: $QUORATE_URL)")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
    add_tls(parser)


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Add the options for mutual TLS."""
    parser.add_argument("--tls-certificate", default="", metavar="FILE", help="PEM, for mutual TLS")
    parser.add_argument("--tls-key", default="", metavar="FILE")
    parser.add_argument("--tls-authority", default="", metavar="FILE")


def tls_of(arguments: argparse.Namespace) -> TlsConfig | None:
    """Return the TLS configuration that the options ask for."""
    if not (arguments.tls_certificate or arguments.tls_key or arguments.tls_authority):
        return None
    return TlsConfig(
        certificate=arguments.tls_certificate,
        key=arguments.tls_key,
        authority=arguments.tls_authority,
    )


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

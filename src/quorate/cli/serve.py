"""Run one node until it is told to stop (SIGINT or SIGTERM).

Settings come from flags, and from a TOML file with the same names (--config FILE); flags
win. The node refuses to be reachable from other machines without mutual TLS, unless
--insecure says so.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import logging
import os
import signal
import sys
from typing import Any, Final

import uvloop

from quorate.cli.logs import configure_logs
from quorate.cli.options import add_tls, new_parser, tls_of
from quorate.errors import ConfigurationError, QuorateError
from quorate.gateways.etcd.server import EtcdGateway
from quorate.node.config import NodeConfig, load_config
from quorate.node.node import Node

PR_SET_PDEATHSIG: Final = 1
EXIT_STOPPED: Final = 1


def run(arguments: list[str]) -> int:
    """Run one node and return 0 after a clean stop, 1 when it had to stop by itself."""
    if sys.flags.optimize:
        raise ConfigurationError("a node refuses to run under python -O: its checks must stay on")
    config, parent = _parse(arguments)
    configure_logs()
    if parent:
        _die_with(parent)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser(
        "serve",
        __doc__ or "",
        example="quorate serve --name a --data-dir /var/lib/quorate --listen 127.0.0.1:7400 \\\n"
        "    --peers a=127.0.0.1:7400",
    )
    parser.add_argument("--config", default="", metavar="FILE", help="TOML with these settings")
    parser.add_argument("--name", default="", help="the node's name, unique in its cluster")
    parser.add_argument("--data-dir", default="", metavar="DIR", help="the node's directory")
    parser.add_argument("--listen", default="", metavar="HOST:PORT", help="clients and peers")
    parser.add_argument("--advertise", default="", metavar="HOST:PORT", help="as others reach it")
    parser.add_argument("--http", default="", metavar="HOST:PORT", help="metrics and health")
    parser.add_argument(
        "--etcd-listen", dest="etcd", default="", metavar="HOST:PORT", help="clients of etcd"
    )
    parser.add_argument("--peers", default="", help="every first member: NAME=HOST:PORT,...")
    parser.add_argument("--join", default="", help="nodes of a cluster to enter: HOST:PORT,...")
    parser.add_argument("--token", default="", help="tells clusters of the same names apart")
    parser.add_argument("--insecure", action="store_true", help="listen beyond loopback in clear")
    parser.add_argument(
        "--snapshot-entries",
        type=int,
        default=0,
        metavar="N",
        help="take a snapshot after so many log entries",
    )
    parser.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)
    add_tls(parser)
    return parser


def _parse(arguments: list[str]) -> tuple[NodeConfig, int]:
    parsed = build_parser().parse_args(arguments)
    settings: dict[str, Any] = {
        key: getattr(parsed, key)
        for key in ("name", "data_dir", "listen", "advertise", "http", "etcd", "token", "insecure")
    }
    settings["peers"] = tuple(filter(None, parsed.peers.split(",")))
    settings["join"] = tuple(filter(None, parsed.join.split(",")))
    settings["snapshot_entries"] = parsed.snapshot_entries
    settings["tls"] = tls_of(parsed)
    return load_config(parsed.config, settings), parsed.parent


async def _serve(config: NodeConfig) -> int:
    node = Node(config)
    gateway = EtcdGateway(node) if config.etcd else None
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await node.start()
        if gateway is not None:
            await gateway.start()
    except OSError as error:
        raise QuorateError(f"{config.name} can't start: {error}") from error
    # What was loaded stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    node.failed.add_done_callback(lambda _: stop.set())
    await stop.wait()
    if node.failed.done():
        logging.getLogger("quorate").critical("stopped: %s", node.failed.result())
        return EXIT_STOPPED
    if gateway is not None:
        await gateway.close()
    await node.stop()
    return 0


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process when its parent dies (Linux, prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)

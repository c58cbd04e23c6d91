"""How each node of the cluster is. Exits with 1 when one is not healthy."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import msgspec

from quorate.cli.options import add_connection, cluster_store, new_parser, tls_of, with_client
from quorate.client.asynchronous import AsyncClient
from quorate.engines.cluster.probe import probe
from quorate.errors import QuorateError
from quorate.kv.requests import MemberStatus


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser(
        "status", __doc__ or "", example="quorate status --url quorate://10.0.0.1:7400"
    )
    add_connection(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Print the status; exits with 1 when a node is not healthy."""
    parsed = build_parser().parse_args(arguments)
    return with_client(parsed, lambda client: _status(client, parsed))


async def _status(client: AsyncClient, arguments: argparse.Namespace) -> int:
    store = cluster_store(client, "a status")
    members = await store.members()
    nodes = await asyncio.gather(
        *(_node(member, members.cluster_id, arguments) for member in members.members)
    )
    if arguments.json:
        print(json.dumps({"cluster_id": f"{members.cluster_id:x}", "nodes": nodes}))
    else:
        print(f"cluster {members.cluster_id:x}")
        for node in nodes:
            health = "healthy" if node["healthy"] else "NOT ANSWERING"
            print(
                f"  {node['name']:<12} {node['address']:<22} {node['role']:<10} "
                f"term {node['term']:<4} commit {node['commit_index']:<9} {health}"
            )
    return 0 if all(node["healthy"] for node in nodes) else 1


async def _node(
    member: MemberStatus, cluster_id: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": member.name,
        "id": f"{member.id:x}",
        "address": member.address,
        "role": member.part,
        "term": 0,
        "commit_index": 0,
        "applied_index": 0,
        "healthy": False,
        "version": "",
    }
    try:
        status = await probe(member.address, cluster_id, tls=tls_of(arguments))
    except (QuorateError, OSError):
        return row
    found = msgspec.structs.asdict(status)
    row.update({key: found[key] for key in row if key in found and key not in ("id", "name")})
    if member.part == "learner":
        row["role"] = "learner"
    return row

"""Who belongs to the cluster, and changing that."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets

from quorate.cli.options import (
    add_command,
    add_commands,
    add_connection,
    cluster_store,
    new_parser,
    tls_of,
    with_client,
)
from quorate.engines.cluster import ClusterStore
from quorate.engines.cluster.probe import probe
from quorate.engines.cluster.settling import settled
from quorate.errors import InvalidRequest, QuorateError, Unavailable
from quorate.kv.requests import MemberStatus
from quorate.protocol.raft.configuration import AddLearner, Member, Promote, Remove


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser("member", __doc__ or "")
    commands = add_commands(parser)
    for name, positionals, short, example in (
        ("list", (), "print the members", ""),
        (
            "add",
            ("name", "address"),
            "add a learner; then: quorate serve --join, quorate member promote",
            " d 10.0.0.4:7400",
        ),
        ("remove", ("name",), "remove a member for good", " d"),
        ("promote", ("name",), "let a learner vote, once it has caught up", " d"),
        ("transfer", ("name",), "hand leadership to a member", " b"),
    ):
        command = add_command(commands, name, short, example=f"quorate member {name}{example}")
        for positional in positionals:
            command.add_argument(positional)
        add_connection(command)
    return parser


def run(arguments: list[str]) -> int:
    """Run one `quorate member` command."""
    parsed = build_parser().parse_args(arguments)
    return with_client(
        parsed,
        lambda client: _COMMANDS[parsed.command](cluster_store(client, "members"), parsed),
    )


async def _list(store: ClusterStore, arguments: argparse.Namespace) -> int:
    members = await store.members()
    for member in members.members:
        leads = member.id == members.leader
        if arguments.json:
            row = {"id": f"{member.id:x}", "name": member.name, "address": member.address}
            print(json.dumps({**row, "part": member.part, "leader": leads}))
        else:
            part = "leader" if leads else member.part
            print(f"{member.id:016x} {member.name:<12} {member.address:<22} {part}")
    return 0


async def _add(store: ClusterStore, arguments: argparse.Namespace) -> int:
    identifier = secrets.randbits(62) + 1
    await store.change_members(AddLearner(Member(identifier, arguments.name, arguments.address)))
    print(f"{arguments.name} is a learner: start it with quorate serve --join, then promote it")
    return 0


async def _remove(store: ClusterStore, arguments: argparse.Namespace) -> int:
    member = await _find(store, arguments.name)
    await store.change_members(Remove(member.id))
    await settled(store, member.id, ("",))
    print(f"{arguments.name} was removed: its node can be stopped and its data deleted")
    return 0


async def _promote(store: ClusterStore, arguments: argparse.Namespace) -> int:
    member = await _find(store, arguments.name)
    await _caught_up(store, member, arguments)
    await store.change_members(Promote(member.id))
    await settled(store, member.id, ("voter",))
    print(f"{arguments.name} votes")
    return 0


async def _transfer(store: ClusterStore, arguments: argparse.Namespace) -> int:
    member = await _find(store, arguments.name)
    await store.transfer_leadership(member.id)
    print(f"leadership goes to {arguments.name}")
    return 0


async def _find(store: ClusterStore, name: str) -> MemberStatus:
    members = (await store.members()).members
    for member in members:
        if name in (member.name, f"{member.id:x}", f"{member.id:016x}"):
            return member
    known = ", ".join(member.name for member in members)
    raise InvalidRequest(f"no member is called {name!r}: there are {known}")


async def _caught_up(
    store: ClusterStore, member: MemberStatus, arguments: argparse.Namespace
) -> None:
    """Wait until a learner has what the leader has committed by now.

    A voter that is not there yet could cost the cluster its majority.
    """
    leader = await store.status()
    try:
        async with asyncio.timeout(arguments.timeout):
            while await _applied(member, leader.cluster_id, arguments) < leader.commit_index:  # noqa: ASYNC110  another process tells no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Unavailable(
            f"{member.name} at {member.address} has not caught up, so it was not promoted: start "
            "it with quorate serve --join, or wait longer with --timeout"
        ) from None


async def _applied(member: MemberStatus, cluster_id: int, arguments: argparse.Namespace) -> int:
    try:
        return (await probe(member.address, cluster_id, tls=tls_of(arguments))).applied_index
    except (QuorateError, OSError):
        return 0


_COMMANDS = {
    "list": _list,
    "add": _add,
    "remove": _remove,
    "promote": _promote,
    "transfer": _transfer,
}

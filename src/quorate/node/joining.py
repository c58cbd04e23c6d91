"""How a new node learns who it is: the cluster has it as a member already."""

from __future__ import annotations

from quorate.engines.cluster import ClusterStore
from quorate.errors import ConfigurationError
from quorate.node.config import NodeConfig
from quorate.node.identity import FORMAT, Identity
from quorate.protocol.raft import Configuration, Member
from quorate.runtime.ports import Ports


async def joined_identity(config: NodeConfig, ports: Ports) -> Identity:
    """Ask the cluster that `config.join` names for this node's ids.

    Raises ConfigurationError when no member has this node's name, Unavailable when nobody
    answers.
    """
    store = ClusterStore(config.join, tls=config.tls, ports=ports)
    try:
        members = await store.members()
    finally:
        await store.close()
    contacts = tuple(Member(each.id, each.name, each.address) for each in members.members)
    # Whoever was added without a name is called by its address until its node has one.
    for known_as in (config.name, config.address):
        for member in contacts:
            if member.name != known_as:
                continue
            return Identity(
                FORMAT, members.cluster_id, member.id, config.name, Configuration(), contacts
            )
    raise ConfigurationError(
        f"the cluster has no member {config.name!r}: say "
        f"quorate member add {config.name} {config.address} first"
    )

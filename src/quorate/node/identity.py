"""Who a node is, written once into its data directory and never changed."""

from __future__ import annotations

import msgspec

from quorate.errors import ConfigurationError
from quorate.node.config import NodeConfig
from quorate.protocol.raft.configuration import Configuration, Member, bootstrap
from quorate.runtime.ports import Files

FORMAT = 1
FILE = "identity.json"


class Identity(msgspec.Struct, frozen=True):
    """A node's ids, and the configuration that its log starts from (empty: it joined).

    `contacts` are the members that a joining node answers until its log tells it more.
    """

    format: int
    cluster_id: int
    node_id: int
    name: str
    configuration: Configuration
    contacts: tuple[Member, ...] = ()


def load_identity(files: Files, directory: str) -> Identity | None:
    """Return the identity in a data directory, None in a new one."""
    path = f"{directory}/{FILE}"
    if not files.exists(path):
        return None
    file = files.open(path)
    try:
        identity = msgspec.json.decode(file.read(0, file.size()), type=Identity)
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{path} is damaged: {error}; restore it from a backup") from error
    finally:
        file.close()
    if identity.format != FORMAT:
        raise ConfigurationError(
            f"{path} has format {identity.format}, this version reads {FORMAT}"
        )
    return identity


def first_identity(config: NodeConfig) -> Identity:
    """Return the identity of a first member of a new cluster."""
    members = config.members
    if not members:
        raise ConfigurationError(
            f"{config.data_dir} is new: say --peers NAME=HOST:PORT,... to make a cluster, "
            "or --join HOST:PORT to enter one"
        )
    own = next(member for member in members if member.name == config.name)
    return Identity(FORMAT, config.cluster_id, own.id, config.name, bootstrap(members))


def save_identity(files: Files, directory: str, identity: Identity) -> None:
    """Write an identity durably."""
    path = f"{directory}/{FILE}"
    data = msgspec.json.format(msgspec.json.encode(identity), indent=2)
    file = files.create(path + ".new")
    try:
        file.write(0, data)
        file.sync()
    finally:
        file.close()
    files.rename(path + ".new", path)
    files.sync_directory(directory)

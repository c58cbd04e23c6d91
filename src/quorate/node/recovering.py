"""A new cluster of one node, made from what one node of a lost cluster has.

Law: every entry of its log counts, since the lost others may have acknowledged it. The old
data is kept aside, whole. The new cluster has a new id, so that no old member can come back
into it with a history of its own.
"""

from __future__ import annotations

from quorate.errors import ConfigurationError
from quorate.node import data_directory
from quorate.node.identity import FORMAT, Identity
from quorate.node.salvage import Salvaged
from quorate.protocol.raft.configuration import Member, bootstrap
from quorate.runtime.ports import Files, Randomness

ID_BITS = 62


def check_name(found: Salvaged, name: str, directory: str) -> None:
    """Raise ConfigurationError when the directory is another node's."""
    if found.identity.name != name:
        raise ConfigurationError(
            f"{directory} belongs to the node {found.identity.name!r}, not to {name!r}"
        )


def begin_new_cluster(
    files: Files, randomness: Randomness, directory: str, found: Salvaged, address: str
) -> tuple[Identity, str]:
    """Make the node the only voter of a new cluster; return who it is, and its old data's place.

    The caller holds the directory's lock. Raises DiskFull, StorageFailed; then nothing in
    the directory has changed, or `data_directory.put_in_place` finishes it.
    """
    old = found.identity
    identity = Identity(
        FORMAT,
        randomness.bits(ID_BITS) + 1,
        old.node_id,
        old.name,
        bootstrap([Member(old.node_id, old.name, address)]),
    )
    found.machine.begin_anew(data_directory.REVISION_RAISE)
    data_directory.build(
        files,
        directory,
        identity,
        found.machine,
        data_directory.Base(found.index, found.term, found.current_term),
        randomness,
    )
    return identity, data_directory.put_in_place(files, directory)

"""A member of a new cluster, made from a backup.

Law: every member that is made from the same file with the same peers starts from the same
state at the same place in the log, so they agree from the beginning. The new cluster has an
id that the old one can't have, and no client can take one for the other.
"""

from __future__ import annotations

import hashlib

import msgspec

from quorate.errors import ConfigurationError
from quorate.kv.machine import KeyValueMachine
from quorate.node import data_directory
from quorate.node.config import NodeConfig
from quorate.node.identity import Identity, first_identity
from quorate.runtime.ports import Files, Randomness
from quorate.runtime.snapshot_file import chunks_of, verify_file
from quorate.runtime.snapshots import SnapshotMeta
from quorate.store.limits import Limits

LEFT_BY_INTERRUPTED = frozenset(("lock", data_directory.BUILDING))


def load_backup(path: str) -> tuple[SnapshotMeta, KeyValueMachine]:
    """Verify every checksum of a backup; return what it is and the state that it holds.

    Raises SnapshotDamaged, ConfigurationError.
    """
    meta = verify_file(path)
    machine = KeyValueMachine(Limits())
    machine.restore(chunks_of(path))
    return meta, machine


def restore(files: Files, randomness: Randomness, config: NodeConfig, path: str) -> Identity:
    """Make the data directory of the member that `config` describes from a backup.

    Raises ConfigurationError when the directory is not empty, SnapshotDamaged, DiskFull and
    StorageFailed; then no node can start on the directory.
    """
    identity = first_identity(config)
    directory = config.data_dir
    _check_empty(files, directory)
    meta, machine = load_backup(path)
    machine.begin_anew(data_directory.REVISION_RAISE)
    files.make_directory(directory)
    unlock = data_directory.lock(files, directory)
    try:
        _check_empty(files, directory)
        identity = msgspec.structs.replace(identity, cluster_id=_successor(config, meta))
        data_directory.build(
            files,
            directory,
            identity,
            machine,
            data_directory.Base(meta.index, meta.term, meta.term),
            randomness,
        )
        data_directory.put_in_place(files, directory)
    finally:
        unlock()
    return identity


def _successor(config: NodeConfig, meta: SnapshotMeta) -> int:
    """Return the id of the cluster that a backup and the peers make, equal on each member."""
    origin = f"{config.cluster_id}\0{meta.index}\0{meta.term}\0{meta.size}\0{meta.checksum}"
    digest = hashlib.sha256(origin.encode()).digest()
    return (int.from_bytes(digest[:8]) >> 1) | 1


def _check_empty(files: Files, directory: str) -> None:
    found = [name for name in files.list(directory) if name not in LEFT_BY_INTERRUPTED]
    if found:
        raise ConfigurationError(
            f"{directory} is not empty, it holds {found[0]!r}: a restore makes a new member, "
            "so choose an empty directory"
        )

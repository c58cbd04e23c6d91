"""What the disk of a stopped node holds, to the last entry of its log.

Law: nothing is written. Reading repairs a torn tail in memory only, so that whoever looks
first and decides later decides about an untouched disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from quorate.errors import ConfigurationError, LogDamaged, StorageError
from quorate.kv.machine import KeyValueMachine
from quorate.node.data_directory import GROUP, SNAPSHOTS, WAL
from quorate.node.identity import Identity, load_identity
from quorate.protocol.raft.messages import Entry, EntryKind, HardState
from quorate.runtime.ports import File, Files
from quorate.runtime.snapshots import SnapshotStore
from quorate.runtime.wal import RecoveredGroup
from quorate.runtime.wal.recovery import WAY_OUT, recover
from quorate.store.limits import Limits


class Salvaged(msgspec.Struct, frozen=True):
    """A node's state after every entry that it has, whether known as committed or not."""

    identity: Identity
    machine: KeyValueMachine
    index: int
    term: int
    current_term: int
    """The latest term that the node took part in."""
    unconfirmed: int
    """Entries at the end of the log that the node did not know as committed."""


def salvage(files: Files, directory: str) -> Salvaged:
    """Read a data directory whose lock the caller holds.

    Raises ConfigurationError when it is none, LogDamaged, SnapshotDamaged, and StorageError
    when entries between snapshot and log are gone.
    """
    looking = _LookingOnly(files)
    identity = load_identity(looking, directory)
    if identity is None:
        raise ConfigurationError(f"{directory} is no data directory of a node: it has no identity")
    log = _read_log(looking, f"{directory}/{WAL}")
    store = SnapshotStore(looking, f"{directory}/{SNAPSHOTS}/{GROUP}")
    machine = KeyValueMachine(Limits())
    index = term = 0
    snapshot = store.latest()
    if snapshot is not None:
        machine.restore(store.read_chunks(snapshot))
        index, term = snapshot.index, snapshot.term
    entries = log.continuing(index, term)
    _check_whole(directory, store, log, index, entries)
    committed = max(index, log.hard_state.commit)
    for entry in entries:
        if entry.kind is EntryKind.NORMAL:
            machine.apply(entry.index, entry.data)
        index, term = entry.index, entry.term
    if not index:
        raise ConfigurationError(f"{directory} holds neither a snapshot nor an entry of a log")
    return Salvaged(
        identity,
        machine,
        index,
        term,
        max(term, log.hard_state.term),
        max(index - committed, 0),
    )


def _read_log(files: Files, directory: str) -> RecoveredGroup:
    try:
        recovered = recover(files, directory)
    except LogDamaged as error:
        way_out = "Recover from another node that is left, or restore a backup."
        raise LogDamaged(str(error).replace(WAY_OUT, way_out)) from error
    if recovered is None:
        return RecoveredGroup(HardState(), [], (0, 0))
    for segment in recovered.segments:
        segment.file.close()
    if recovered.spare is not None:
        recovered.spare.file.close()
    return recovered.groups.get(GROUP, RecoveredGroup(HardState(), [], (0, 0)))


def _check_whole(
    directory: str,
    store: SnapshotStore,
    log: RecoveredGroup,
    base: int,
    entries: Sequence[Entry],
) -> None:
    """Refuse when the log does not go on where the newest whole snapshot ends."""
    if (entries and entries[0].index == base + 1) or (not entries and base >= log.snapshot[0]):
        return
    found = f"the snapshots {', '.join(store.damaged)} are damaged" if store.damaged else ""
    missing = entries[0].index - 1 if entries else log.snapshot[0]
    raise StorageError(
        f"{directory} lacks the entries {base + 1} to {missing}"
        f"{': ' + found if found else ''}. Recover from another node, or restore a backup"
    )


class _LookingOnly:
    """Files of which nothing is written, removed or made."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def open(self, path: str) -> File:
        return _LookedAt(self._files.open(path))

    def exists(self, path: str) -> bool:
        return self._files.exists(path)

    def list(self, directory: str) -> Sequence[str]:
        return self._files.list(directory)

    def create(self, path: str) -> File:
        raise AssertionError(f"{path} is created while a disk is only looked at")

    def lock(self, path: str) -> Callable[[], None]:
        raise AssertionError(f"{path} is locked while a disk is only looked at")

    def make_directory(self, path: str) -> None:
        """Leave the disk as it is."""

    def rename(self, source: str, target: str) -> None:
        """Leave the disk as it is."""

    def remove(self, path: str) -> None:
        """Leave the disk as it is."""

    def sync_directory(self, path: str) -> None:
        """Leave the disk as it is."""


class _LookedAt:
    """A file of which nothing is written."""

    def __init__(self, file: File) -> None:
        self._file = file

    def read(self, offset: int, size: int) -> bytes:
        return self._file.read(offset, size)

    def size(self) -> int:
        return self._file.size()

    def close(self) -> None:
        self._file.close()

    def write(self, offset: int, data: bytes) -> None:
        """Leave the disk as it is."""

    def truncate(self, size: int) -> None:
        """Leave the disk as it is."""

    def sync(self) -> None:
        """Leave the disk as it is."""

"""A data directory made from a state: the first state of a new cluster.

Law: what stands at the places that a node reads was built whole and synced before. It is
built aside, then put in place piece by piece; a directory where that did not end is refused
by `Node` and finished by `put_in_place`. Nothing older is destroyed: it moves to
`before-recovery-N`. Blocking; the caller holds the directory's lock.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Final

import msgspec

from quorate.errors import ConfigurationError
from quorate.kv.machine import KeyValueMachine
from quorate.node.identity import FILE, Identity, save_identity
from quorate.protocol.raft.configuration import encode_configuration
from quorate.protocol.raft.messages import HardState
from quorate.runtime.ports import Files, Randomness
from quorate.runtime.snapshots import SnapshotMeta, SnapshotStore
from quorate.runtime.wal import GroupWrite, Wal

GROUP: Final = 1
"""The group of the key-value store; others will follow."""
WAL: Final = "wal"
SNAPSHOTS: Final = "snapshots"
PIECES: Final = (WAL, SNAPSHOTS, FILE)
BUILDING: Final = "building"
BUILT: Final = "built"
OLDER: Final = "older"
"""Within what was built: the pieces that it replaces, until all are replaced."""
ASIDE: Final = "before-recovery"
REVISION_RAISE: Final = 1_000_000_000
"""What the old cluster may have written since, at most: tokens must stay above all of it."""


class Base(msgspec.Struct, frozen=True):
    """Where a new cluster's log begins; every first member must have the same.

    `index` and `term` are of the last entry that the state covers, `current_term` is at least
    that term: no election may fall behind it.
    """

    index: int
    term: int
    current_term: int


def lock(files: Files, directory: str) -> Callable[[], None]:
    """Take a data directory for this process; return the release.

    Raises ConfigurationError while another process has it.
    """
    try:
        return files.lock(f"{directory}/lock")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigurationError(f"there is no directory {directory}") from error
    except BlockingIOError as error:
        raise ConfigurationError(
            f"another process uses {directory}: stop it, or choose another --data-dir"
        ) from error


def build(
    files: Files,
    directory: str,
    identity: Identity,
    machine: KeyValueMachine,
    base: Base,
    randomness: Randomness,
) -> None:
    """Build the pieces of a new cluster's member aside: its state is the machine's.

    Raises DiskFull, StorageFailed.
    """
    place = f"{directory}/{BUILDING}"
    if files.exists(place):
        shutil.rmtree(place)
    files.make_directory(place)
    configuration = encode_configuration(identity.configuration)
    store = SnapshotStore(files, f"{place}/{SNAPSHOTS}/{GROUP}")
    writer = store.begin(SnapshotMeta(GROUP, base.index, base.term, configuration))
    for chunk in machine.capture():
        writer.write(chunk)
    writer.commit()
    wal, _ = Wal.open(files, f"{place}/{WAL}", salt=randomness.bits(32))
    try:
        state = HardState(term=base.current_term, commit=base.index)
        wal.append([GroupWrite(GROUP, state, snapshot=(base.index, base.term))])
    finally:
        wal.close()
    save_identity(files, place, identity)
    files.sync_directory(place)
    files.rename(place, f"{directory}/{BUILT}")
    files.sync_directory(directory)


def put_in_place(files: Files, directory: str) -> str:
    """Put what was built in place and return where the older pieces are, "" for none.

    Goes on where an earlier call was interrupted.
    """
    built = f"{directory}/{BUILT}"
    older = f"{built}/{OLDER}"
    for piece in PIECES:
        if not files.exists(f"{built}/{piece}"):
            continue
        if files.exists(f"{directory}/{piece}"):
            files.make_directory(older)
            _move(files, piece, directory, older)
        _move(files, piece, built, directory)
    aside = ""
    if files.exists(older):
        number = 1
        while files.exists(aside := f"{directory}/{ASIDE}-{number}"):
            number += 1
        files.rename(older, aside)
        files.sync_directory(directory)
    shutil.rmtree(built)
    files.sync_directory(directory)
    return aside


def is_built(files: Files, directory: str) -> bool:
    """Tell whether `put_in_place` has something to do, or to finish."""
    return files.exists(f"{directory}/{BUILT}")


def is_unfinished(files: Files, directory: str) -> bool:
    """Tell whether a restore or recovery stopped where a node must not start."""
    begun = files.exists(f"{directory}/{BUILDING}") and not files.exists(f"{directory}/{FILE}")
    return begun or is_built(files, directory)


def _move(files: Files, piece: str, source: str, target: str) -> None:
    files.rename(f"{source}/{piece}", f"{target}/{piece}")
    files.sync_directory(target)
    files.sync_directory(source)

"""A recovery makes one node of what its disk holds, and destroys nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from quorate.kv.commands import BATCH_FORMAT, Batch, Envelope, encode_batch, encode_commands
from quorate.kv.machine import KeyValueMachine
from quorate.node import data_directory
from quorate.node.identity import Identity, load_identity, save_identity
from quorate.node.salvage import salvage
from quorate.protocol.raft.configuration import Member, bootstrap, encode_configuration
from quorate.protocol.raft.messages import Entry, EntryKind, HardState
from quorate.runtime.snapshots import SnapshotMeta, SnapshotStore
from quorate.runtime.wal import GroupWrite, Wal
from quorate.runtime.world import RealFiles
from quorate.store import Get, KeyValue, Limits, Put

from .commands import Done, here

FILES = RealFiles()
MEMBERS = [Member(number, f"node{number}", f"127.0.0.1:{number}") for number in (1, 2, 3)]
CONFIGURATION = bootstrap(MEMBERS)


def put(index: int, key: bytes) -> Entry:
    body = encode_commands([Put(key, b"x")])
    batch = Batch(BATCH_FORMAT, 0, (Envelope("", 0, 0, 0, 0, 0, body),))
    return Entry(2, index, EntryKind.NORMAL, encode_batch(batch))


ENTRIES = (
    Entry(1, 1, EntryKind.EMPTY, b""),
    put(2, b"two"),
    put(3, b"three"),
    Entry(2, 4, EntryKind.CONFIGURATION, encode_configuration(CONFIGURATION)),
    put(5, b"five"),
)


def write_log(directory: Path, entries: Sequence[Entry], commit: int) -> None:
    wal, _ = Wal.open(FILES, f"{directory}/wal", segment_bytes=64 * 1024)
    wal.append([GroupWrite(1, HardState(5, 0, commit), entries)])
    wal.close()


def write_snapshot(directory: Path, entries: Sequence[Entry]) -> None:
    machine = KeyValueMachine(Limits())
    for entry in entries:
        if entry.kind is EntryKind.NORMAL:
            machine.apply(entry.index, entry.data)
    last = entries[-1]
    store = SnapshotStore(FILES, f"{directory}/snapshots/1")
    meta = SnapshotMeta(1, last.index, last.term, encode_configuration(CONFIGURATION))
    writer = store.begin(meta)
    for chunk in machine.capture():
        writer.write(chunk)
    writer.commit()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Of a node that was one of three, with five entries of which it knows two as committed."""
    node = tmp_path / "node2"
    node.mkdir()
    save_identity(FILES, str(node), Identity(1, 77, 2, "node2", CONFIGURATION))
    write_log(node, ENTRIES, commit=2)
    SnapshotStore(FILES, f"{node}/snapshots/1")
    return node


def recover(capsys: pytest.CaptureFixture[str], directory: Path, *extra: str) -> Done:
    address = ["--address", "127.0.0.1:7400"]
    where = ["--data-dir", str(directory), "--name", "node2"]
    return here(capsys, "recover", *where, *address, "--json", *extra)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def keys_of(directory: Path) -> list[bytes]:
    found = salvage(FILES, str(directory)).machine.read([Get(b"two"), Get(b"three"), Get(b"five")])
    return [item.key for item in found if isinstance(item, KeyValue)]


def test_without_the_word_it_only_tells(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A torn tail, which a start would cut, stays as it is too.
    segment = next(directory.glob("wal/*1*"))
    with segment.open("r+b") as file:
        file.seek(2000)
        file.write(b"torn")
    before = contents(directory)
    done = recover(capsys, directory)
    assert done.code == 0, done.error
    assert contents(directory) == before
    document = json.loads(done.out)
    assert (document["term"], document["index"]) == (2, 5)
    assert document["revision"] == 4
    assert document["keys"] == 3
    assert document["unconfirmed_entries"] == 3
    assert document["done"] is False


def test_it_warns_of_what_may_be_lost(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data-dir", str(directory), "--name", "node2", "--address", "127.0.0.1:7400"]
    shown = here(capsys, "recover", *where).out
    assert "nothing was changed" in shown
    assert "are lost" in shown
    assert "highest term" in shown
    assert "add them anew" in shown


def test_every_entry_counts_and_the_old_data_is_kept(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(directory)
    done = recover(capsys, directory, "--force-new-cluster")
    assert done.code == 0, done.error
    document = json.loads(done.out)
    assert document["revision"] == 1_000_000_004
    assert contents(directory / "before-recovery-1") == before
    assert keys_of(directory) == [b"two", b"three", b"five"]
    found = salvage(FILES, str(directory))
    assert (found.index, found.term, found.current_term) == (5, 2, 5)
    assert found.identity.cluster_id != 77
    assert found.identity.configuration == bootstrap([Member(2, "node2", "127.0.0.1:7400")])


def test_a_second_recovery_keeps_what_the_first_one_kept(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(directory)
    recover(capsys, directory, "--force-new-cluster")
    done = recover(capsys, directory, "--force-new-cluster")
    assert json.loads(done.out)["kept"] == f"{directory}/before-recovery-2"
    assert contents(directory / "before-recovery-1") == before


@pytest.mark.parametrize("covered", [2, 4, 5])
def test_snapshot_and_log_together_make_the_state(
    directory: Path, covered: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write_snapshot(directory, ENTRIES[:covered])
    document = json.loads(recover(capsys, directory).out)
    assert (document["index"], document["revision"], document["keys"]) == (5, 4, 3)


def test_a_hole_between_snapshot_and_log_is_refused(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_snapshot(directory, ENTRIES[:2])
    wal, _ = Wal.open(FILES, f"{directory}/wal", segment_bytes=64 * 1024)
    later = (put(10, b"ten"),)
    wal.append([GroupWrite(1, HardState(5, 0, 9), snapshot=(9, 2)), GroupWrite(1, None, later)])
    wal.close()
    done = recover(capsys, directory, "--force-new-cluster")
    assert done.code == 1
    assert "lacks the entries 3 to 9" in done.error
    assert not (directory / "before-recovery-1").exists()


def test_a_damaged_log_is_refused_by_place(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wal, _ = Wal.open(FILES, f"{directory}/wal", segment_bytes=64 * 1024)
    wal.append([GroupWrite(1, None, (put(6, b"six"),))])
    wal.append([GroupWrite(1, None, (put(7, b"seven"),))])
    wal.close()
    segment = next(directory.glob("wal/*1*"))
    whole = bytearray(segment.read_bytes())
    whole[whole.index(b"six") + 1] ^= 1
    segment.write_bytes(whole)
    before = contents(directory)
    done = recover(capsys, directory, "--force-new-cluster")
    assert done.code == 1
    assert str(segment) in done.error
    assert "restore a backup" in done.error
    assert "see `quorate recover`" not in done.error
    assert contents(directory) == before


def test_a_node_that_runs_is_left_alone(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unlock = FILES.lock(f"{directory}/lock")
    try:
        done = recover(capsys, directory, "--force-new-cluster")
    finally:
        unlock()
    assert done.code == 2
    assert "another process uses" in done.error
    assert not (directory / "before-recovery-1").exists()


def test_another_nodes_directory_is_refused(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--data-dir", str(directory), "--name", "node1", "--address", "127.0.0.1:7400"]
    done = here(capsys, "recover", *where, "--force-new-cluster")
    assert done.code == 2
    assert "belongs to the node 'node2'" in done.error


def test_no_directory_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = recover(capsys, tmp_path / "none")
    assert done.code == 2
    assert "there is no directory" in done.error
    done = recover(capsys, tmp_path)
    assert "is no data directory of a node" in done.error


class PowerCutError(Exception):
    """The machine ended here."""


class FailingFiles(RealFiles):
    """Ends at the n-th rename."""

    def __init__(self, renames: int) -> None:
        self._left = renames

    def rename(self, source: str, target: str) -> None:
        if not self._left:
            raise PowerCutError
        self._left -= 1
        super().rename(source, target)


@pytest.mark.parametrize("renames", range(7))
def test_wherever_it_is_interrupted_it_can_be_finished(
    directory: Path,
    tmp_path: Path,
    renames: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = contents(directory)
    assert recover(capsys, directory, "--force-new-cluster").code == 0
    (directory / "before-recovery-1").rename(tmp_path / "original")
    # What was made is put in place of the original once more, with an interruption.
    made = {name: directory / name for name in data_directory.PIECES}
    (directory / "built").mkdir()
    for name, path in made.items():
        path.rename(directory / "built" / name)
        (tmp_path / "original" / name).rename(directory / name)
    with pytest.raises(PowerCutError):
        data_directory.put_in_place(FailingFiles(renames), str(directory))
    assert recover(capsys, directory).code == 2
    done = recover(capsys, directory, "--force-new-cluster")
    assert done.code == 0, done.error
    assert json.loads(done.out)["revision"] == 1_000_000_004
    assert contents(directory / "before-recovery-1") == before
    identity = load_identity(FILES, str(directory))
    assert identity is not None
    assert len(identity.configuration.members) == 1
    assert not data_directory.is_unfinished(FILES, str(directory))

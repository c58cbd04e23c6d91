"""A backup is whole or it is not there, and a damaged one restores nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quorate.errors import SnapshotDamaged
from quorate.kv.commands import BATCH_FORMAT, Batch, Envelope, encode_batch, encode_commands
from quorate.kv.machine import KeyValueMachine
from quorate.protocol.raft.configuration import Member, bootstrap, encode_configuration
from quorate.runtime.snapshot_file import SnapshotFile, verify_file
from quorate.runtime.snapshots import SnapshotMeta
from quorate.runtime.world import RealFiles
from quorate.store import Limits, Put

from .commands import here, quorate_command

PEERS = "a=127.0.0.1:7401,b=127.0.0.1:7402,c=127.0.0.1:7403"
META = SnapshotMeta(1, 9, 4, encode_configuration(bootstrap([Member(1, "old", "127.0.0.1:1")])))


def a_state() -> KeyValueMachine:
    machine = KeyValueMachine(Limits())
    body = encode_commands([Put(b"colour", b"green"), Put(b"sound", b"loud")])
    machine.apply(9, encode_batch(Batch(BATCH_FORMAT, 0, (Envelope("", 0, 0, 0, 0, 0, body),))))
    return machine


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    path = tmp_path / "store.snap"
    with SnapshotFile(RealFiles(), str(path), META) as file:
        for chunk in a_state().capture():
            file.write(chunk)
        file.commit()
    return path


def restore_arguments(backup: Path, directory: Path, name: str = "a") -> list[str]:
    where = ["--name", name, "--data-dir", str(directory), "--peers", PEERS]
    return ["snapshot", "restore", str(backup), *where]


def test_a_backup_can_be_looked_at(backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup.chmod(0o400)
    done = here(capsys, "snapshot", "status", str(backup), "--json")
    assert done.code == 0
    document = json.loads(done.out)
    assert document["index"] == 9
    assert document["term"] == 4
    assert document["revision"] == 3
    assert document["keys"] == 2
    assert document["bytes"] == backup.stat().st_size
    assert document["members"] == ["old"]


def test_every_byte_of_a_backup_is_vouched_for(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = backup.read_bytes()
    directory = tmp_path / "member"
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        backup.write_bytes(damaged)
        assert here(capsys, "snapshot", "status", str(backup)).code in (1, 2)
        assert here(capsys, *restore_arguments(backup, directory)).code in (1, 2)
        assert not directory.exists()
    for length in range(0, len(whole), 7):
        backup.write_bytes(whole[:length])
        done = here(capsys, *restore_arguments(backup, directory))
        assert done.code == 1
        assert str(backup) in done.error
        assert not directory.exists()


def test_what_was_not_finished_never_has_the_name(backup: Path, tmp_path: Path) -> None:
    before = backup.read_bytes()

    def broken_off(path: Path) -> None:
        with SnapshotFile(RealFiles(), str(path), META) as file:
            file.write(b"some")
            raise ConnectionError

    for path in (backup, tmp_path / "other.snap"):
        with pytest.raises(ConnectionError):
            broken_off(path)
    assert backup.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [backup]


def test_a_backup_is_its_owners_alone(backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600


def test_only_a_cluster_can_be_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = here(capsys, "snapshot", "save", str(tmp_path / "file"), "--url", "memory:")
    assert done.code == 2
    assert "is no cluster" in done.error
    assert not list(tmp_path.iterdir())


def test_no_such_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = here(capsys, "snapshot", "status", str(tmp_path / "none"))
    assert done.code == 2
    assert "can't be opened" in done.error
    (tmp_path / "text").write_text("a text, not a snapshot")
    with pytest.raises(SnapshotDamaged):
        verify_file(str(tmp_path / "text"))


def test_members_restored_from_one_file_start_equal(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = []
    for name in ("a", "b", "c"):
        done = here(capsys, *restore_arguments(backup, tmp_path / name, name), "--json")
        assert done.code == 0, done.error
        documents.append(json.loads(done.out))
    assert len({document["cluster_id"] for document in documents}) == 1
    assert len({document["node_id"] for document in documents}) == 3
    snapshots = [next((tmp_path / name / "snapshots" / "1").iterdir()) for name in ("a", "b", "c")]
    assert len({path.name for path in snapshots}) == 1
    assert len({path.read_bytes() for path in snapshots}) == 1
    again = here(capsys, *restore_arguments(backup, tmp_path / "d"), "--token", "t", "--json")
    assert json.loads(again.out)["cluster_id"] != documents[0]["cluster_id"]


def test_a_directory_that_holds_something_is_refused_and_left_alone(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "member"
    directory.mkdir()
    (directory / "letter").write_text("dear")
    done = here(capsys, *restore_arguments(backup, directory))
    assert done.code == 2
    assert "is not empty, it holds 'letter'" in done.error
    assert [path.name for path in directory.iterdir()] == ["letter"]


def test_a_restore_that_was_interrupted_can_be_done_again(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "member"
    (directory / "building" / "snapshots").mkdir(parents=True)
    where = ["--data-dir", str(directory), "--peers", PEERS]
    started = quorate_command("serve", "--name", "a", *where)
    assert started.returncode == 2
    assert "did not end" in started.stderr
    assert here(capsys, *restore_arguments(backup, directory)).code == 0
    assert sorted(path.name for path in directory.iterdir()) == [
        "identity.json",
        "lock",
        "snapshots",
        "wal",
    ]


def test_a_name_that_is_no_peer_is_refused(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = here(capsys, *restore_arguments(backup, tmp_path / "d", "d"))
    assert done.code == 2
    assert "does not name this node, 'd'" in done.error
    assert not (tmp_path / "d").exists()

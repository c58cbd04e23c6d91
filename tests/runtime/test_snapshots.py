"""A snapshot is whole under its name, or it is passed over and named as damaged."""

from __future__ import annotations

import errno
from contextlib import suppress

import pytest

from quorate.errors import DiskFull, SnapshotDamaged, StorageError, StorageFailed
from quorate.runtime.snapshots import SnapshotMeta, SnapshotReceiver, SnapshotStore
from quorate.simulation.disk import PowerLost, VirtualFiles, chance

DIRECTORY = "/data/snapshots/1"
CHUNKS = [b"first" * 100, b"second" * 200, b"3"]


def stored(files: VirtualFiles, index: int = 5, chunks: list[bytes] = CHUNKS) -> SnapshotMeta:
    writer = SnapshotStore(files, DIRECTORY).begin(SnapshotMeta(1, index, 2, b"members"))
    for chunk in chunks:
        writer.write(chunk)
    return writer.commit()


def path_of(meta: SnapshotMeta) -> str:
    return f"{DIRECTORY}/snap-{meta.index:016x}-{meta.term:016x}.snap"


def sent(source: SnapshotStore, meta: SnapshotMeta, receiver: SnapshotReceiver, step: int) -> None:
    while receiver.offset < meta.size:
        data = source.read_raw(meta, receiver.offset, step)
        receiver.write(receiver.offset, data)


def test_a_new_store_has_no_snapshot() -> None:
    assert SnapshotStore(VirtualFiles(), DIRECTORY).latest() is None


def test_what_was_written_is_read_back_after_the_loss_of_everything_unsynced() -> None:
    files = VirtualFiles()
    meta = stored(files)
    store = SnapshotStore(files.crash(lambda: False), DIRECTORY)
    assert store.latest() == meta
    assert list(store.read_chunks(meta)) == CHUNKS
    assert (meta.group, meta.index, meta.term, meta.configuration) == (1, 5, 2, b"members")
    assert meta.size == len(files.content(path_of(meta)))


def test_a_snapshot_without_chunks_is_a_snapshot() -> None:
    files = VirtualFiles()
    meta = stored(files, chunks=[b""])
    store = SnapshotStore(files, DIRECTORY)
    assert store.latest() == meta
    assert list(store.read_chunks(meta)) == []


def test_the_newest_is_the_one_with_the_highest_index() -> None:
    files = VirtualFiles()
    for index in (9, 300, 20):
        stored(files, index)
    latest = SnapshotStore(files, DIRECTORY).latest()
    assert latest is not None
    assert latest.index == 300


def test_an_aborted_snapshot_leaves_nothing() -> None:
    files = VirtualFiles()
    store = SnapshotStore(files, DIRECTORY)
    writer = store.begin(SnapshotMeta(1, 5, 2, b""))
    writer.write(b"half")
    writer.abort()
    assert files.list(DIRECTORY) == []
    assert store.latest() is None


def test_leftovers_of_a_write_are_removed_at_the_next_start() -> None:
    files = VirtualFiles()
    writer = SnapshotStore(files, DIRECTORY).begin(SnapshotMeta(1, 5, 2, b""))
    writer.write(b"half")
    assert len(files.list(DIRECTORY)) == 1
    SnapshotStore(files, DIRECTORY)
    assert files.list(DIRECTORY) == []


def test_a_damaged_newest_falls_back_to_the_one_before_and_is_named() -> None:
    files = VirtualFiles()
    older, newer = stored(files, 5), stored(files, 9)
    files.flip(path_of(newer), 8 * 700)
    store = SnapshotStore(files, DIRECTORY)
    assert store.latest() == older
    assert store.damaged == [path_of(newer)]
    assert store.latest() == older
    assert store.damaged == [path_of(newer)]


def test_every_flipped_bit_and_every_cut_is_found() -> None:
    files = VirtualFiles()
    meta = stored(files, chunks=[b"abc", b"defg"])
    for bit in range(meta.size * 8):
        rotten = files.copy()
        rotten.flip(path_of(meta), bit)
        check_refused(rotten, meta)
    for size in range(meta.size):
        short = files.copy()
        short.cut(path_of(meta), size)
        check_refused(short, meta)


def check_refused(files: VirtualFiles, meta: SnapshotMeta) -> None:
    store = SnapshotStore(files, DIRECTORY)
    assert store.latest() is None
    with pytest.raises(SnapshotDamaged):
        list(store.read_chunks(meta))
    assert store.damaged == [path_of(meta)]


def test_damage_found_while_reading_makes_the_store_fall_back() -> None:
    files = VirtualFiles()
    older, newer = stored(files, 5), stored(files, 9)
    store = SnapshotStore(files, DIRECTORY)
    assert store.latest() == newer
    files.flip(path_of(newer), 8 * 700)
    with pytest.raises(SnapshotDamaged, match=path_of(newer)):
        list(store.read_chunks(newer))
    assert store.latest() == older


def test_a_snapshot_under_the_name_of_another_is_damaged() -> None:
    files = VirtualFiles()
    older, newer = stored(files, 5), stored(files, 9)
    files.rename(path_of(newer), path_of(older))
    store = SnapshotStore(files, DIRECTORY)
    assert store.latest() is None
    assert store.damaged == [path_of(older)]


def test_prune_keeps_the_newest_whole_ones() -> None:
    files = VirtualFiles()
    metas = [stored(files, index) for index in (1, 2, 3, 4)]
    files.flip(path_of(metas[3]), 800)
    store = SnapshotStore(files, DIRECTORY)
    store.prune(keep=2)
    assert [f"{DIRECTORY}/{name}" for name in files.list(DIRECTORY)] == [
        path_of(meta) for meta in metas[1:3]
    ]
    assert store.damaged == [path_of(metas[3])]
    with pytest.raises(StorageError, match="no longer kept"):
        store.read_raw(metas[0], 0, 10)


def test_prune_removes_nothing_when_nothing_is_whole() -> None:
    files = VirtualFiles()
    meta = stored(files)
    files.flip(path_of(meta), 800)
    SnapshotStore(files, DIRECTORY).prune()
    assert files.exists(path_of(meta))


@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_a_received_snapshot_is_the_one_that_was_sent(step: int) -> None:
    source_files, target_files = VirtualFiles(), VirtualFiles()
    meta = stored(source_files)
    source, target = (SnapshotStore(files, DIRECTORY) for files in (source_files, target_files))
    receiver = target.receive(meta)
    sent(source, meta, receiver, step)
    assert receiver.commit() == meta
    assert target.latest() == meta
    after = SnapshotStore(target_files.crash(lambda: False), DIRECTORY)
    assert after.latest() == meta
    assert list(after.read_chunks(meta)) == CHUNKS


def test_bytes_that_come_twice_or_past_a_gap_do_no_harm() -> None:
    source_files = VirtualFiles()
    meta = stored(source_files)
    source = SnapshotStore(source_files, DIRECTORY)
    receiver = SnapshotStore(VirtualFiles(), DIRECTORY).receive(meta)
    assert receiver.write(0, source.read_raw(meta, 0, 50)) == 50
    assert receiver.write(0, source.read_raw(meta, 0, 50)) == 50
    assert receiver.write(60, source.read_raw(meta, 60, 50)) == 50
    assert receiver.write(20, source.read_raw(meta, 20, 80)) == 100
    sent(source, meta, receiver, 64)
    assert receiver.commit() == meta


def test_a_receipt_goes_on_after_a_restart_from_the_last_whole_chunk() -> None:
    source_files, target_files = VirtualFiles(), VirtualFiles()
    meta = stored(source_files)
    source = SnapshotStore(source_files, DIRECTORY)
    receiver = SnapshotStore(target_files, DIRECTORY).receive(meta)
    receiver.write(0, source.read_raw(meta, 0, 900))
    receiver.close()

    again = SnapshotStore(target_files, DIRECTORY).receive(meta)
    assert 500 < again.offset < 900
    sent(source, meta, again, 64)
    assert again.commit() == meta


def test_a_receipt_trusts_only_what_provably_survived_a_crash() -> None:
    source_files = VirtualFiles()
    meta = stored(source_files, chunks=[bytes([number]) * 700 for number in range(20)])
    source = SnapshotStore(source_files, DIRECTORY)
    for seed in range(30):
        target_files = VirtualFiles()
        receiver = SnapshotStore(target_files, DIRECTORY).receive(meta)
        for offset in range(0, 9000, 300):
            receiver.write(offset, source.read_raw(meta, offset, 300))
        target_files.sync_directory(DIRECTORY)
        after = target_files.crash(chance(seed, 0.8))
        target = SnapshotStore(after, DIRECTORY)
        again = target.receive(meta)
        sent(source, meta, again, 1000)
        assert again.commit() == meta
        assert target.latest() == meta


def test_a_receipt_of_another_snapshot_starts_anew() -> None:
    source_files, target_files = VirtualFiles(), VirtualFiles()
    first = stored(source_files, 5)
    second = stored(source_files, 5, [b"other"])
    assert (first.index, first.term) == (second.index, second.term)
    receiver = SnapshotStore(target_files, DIRECTORY).receive(first)
    receiver.write(0, bytes(100))
    receiver.close()
    assert SnapshotStore(target_files, DIRECTORY).receive(second).offset == 0
    assert len(target_files.list(DIRECTORY)) == 1


def test_a_receipt_that_does_not_verify_is_refused_and_forgotten() -> None:
    source_files, target_files = VirtualFiles(), VirtualFiles()
    meta = stored(source_files)
    raw = bytearray(source_files.content(path_of(meta)))
    raw[600] ^= 1
    target = SnapshotStore(target_files, DIRECTORY)
    receiver = target.receive(meta)
    receiver.write(0, bytes(raw))
    with pytest.raises(SnapshotDamaged):
        receiver.commit()
    assert target_files.list(DIRECTORY) == []
    assert target.receive(meta).offset == 0


def test_a_receipt_takes_no_more_than_was_announced_and_no_less() -> None:
    source_files = VirtualFiles()
    meta = stored(source_files)
    target = SnapshotStore(VirtualFiles(), DIRECTORY)
    receiver = target.receive(meta)
    with pytest.raises(SnapshotDamaged, match="past the end"):
        receiver.write(meta.size - 1, b"ab")
    with pytest.raises(SnapshotDamaged, match=f"0 of {meta.size} bytes"):
        receiver.commit()


def test_a_full_disk_refuses_the_snapshot_and_keeps_the_one_before() -> None:
    files = VirtualFiles()
    meta = stored(files)
    files.capacity = files.used + 200
    store = SnapshotStore(files, DIRECTORY)
    writer = store.begin(SnapshotMeta(1, 9, 2, b""))
    with pytest.raises(DiskFull):
        writer.write(bytes(500))
    assert store.latest() == meta
    assert len(files.list(DIRECTORY)) == 1


@pytest.mark.parametrize("error_number", [errno.EIO, errno.ENOSPC])
def test_a_snapshot_whose_sync_failed_has_no_name(error_number: int) -> None:
    files = VirtualFiles()
    store = SnapshotStore(files, DIRECTORY)
    writer = store.begin(SnapshotMeta(1, 9, 2, b""))
    files.fail("sync", error_number)
    with pytest.raises(StorageFailed):
        writer.commit()
    assert store.latest() is None


def test_a_power_cut_at_any_point_leaves_the_old_snapshot_or_the_new_one() -> None:
    for point in range(20):
        files = VirtualFiles()
        older = stored(files, 5)
        files.lose_power(point)
        newer = None
        with suppress(PowerLost):
            newer = stored(files, 9)
        for seed in range(4):
            after = files.crash(chance(seed))
            store = SnapshotStore(after, DIRECTORY)
            latest = store.latest()
            assert latest is not None
            assert latest == newer if newer else latest.index in (5, 9)
            assert latest == older or list(store.read_chunks(latest)) == CHUNKS
            assert store.damaged == []

"""The log gives back what was appended, over segments and restarts."""

from __future__ import annotations

import pytest

from quorate.protocol.raft.messages import HardState
from quorate.runtime.wal import GroupWrite, RecoveredGroup
from quorate.simulation.disk import VirtualFiles

from .wal_cases import DIRECTORY, SMALL, entries, entry, open_wal, reopened, segments


def test_a_new_log_is_empty_and_has_a_reserve() -> None:
    files = VirtualFiles()
    wal, groups = open_wal(files)
    assert groups == {}
    assert (wal.last_batch, wal.segment_count, wal.sync_count) == (0, 1, 0)
    assert f"{DIRECTORY}/wal-reserve.log" in files.paths()
    assert f"{DIRECTORY}/wal-{1:016x}.log" in files.paths()


def test_what_was_appended_survives_the_loss_of_everything_unsynced() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append(
        [GroupWrite(1, HardState(2, 3, 1), entries(1, 3)), GroupWrite(9, HardState(7, 0, 0))]
    )
    groups = reopened(files)
    assert groups[1] == RecoveredGroup(HardState(2, 3, 1), entries(1, 3), (0, 0))
    assert groups[9] == RecoveredGroup(HardState(7, 0, 0), [], (0, 0))


def test_one_batch_of_many_groups_costs_one_sync() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    before = files.sync_count
    wal.append([GroupWrite(group, HardState(1), entries(1, 2)) for group in range(1, 20)])
    assert files.sync_count == before + 1
    assert wal.sync_count == 1
    assert wal.last_batch == 1


def test_an_empty_batch_writes_nothing() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    before = files.operations
    wal.append([])
    assert files.operations == before
    assert wal.last_batch == 0


def test_batches_continue_after_a_restart() -> None:
    files = VirtualFiles()
    for index in range(1, 30):
        wal, groups = open_wal(files)
        assert [held.index for group in groups.values() for held in group.entries] == list(
            range(1, index)
        )
        assert wal.last_batch == index - 1
        wal.append([GroupWrite(1, entries=[entry(index)])])
        wal.close()
        files = files.crash(lambda: False)


def test_entries_at_held_indexes_replace_them_and_all_after() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 9))])
    wal.append([GroupWrite(1, HardState(2), entries(4, 5, term=2))])
    assert reopened(files)[1].entries == entries(1, 3) + entries(4, 5, term=2)


def test_a_truncation_removes_the_tail_and_comes_before_the_entries() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 9))])
    wal.append([GroupWrite(1, truncate_from=7)])
    assert reopened(files)[1].entries == entries(1, 6)
    wal.append([GroupWrite(1, truncate_from=3, entries=entries(3, 3, term=5))])
    assert reopened(files)[1].entries == entries(1, 2) + entries(3, 3, term=5)


def test_a_snapshot_within_the_log_keeps_the_tail_before_it() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 9))])
    wal.append([GroupWrite(1, snapshot=(6, 1))])
    assert reopened(files)[1] == RecoveredGroup(HardState(), entries(1, 9), (6, 1))


def test_an_installed_snapshot_replaces_the_log_and_entries_go_on_behind_it() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 9))])
    wal.append([GroupWrite(1, snapshot=(100, 4))])
    wal.append([GroupWrite(1, entries=entries(101, 103, term=4))])
    assert reopened(files)[1] == RecoveredGroup(HardState(), entries(101, 103, term=4), (100, 4))


def test_a_snapshot_never_goes_back() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, snapshot=(100, 4))])
    wal.append([GroupWrite(1, snapshot=(50, 2))])
    assert reopened(files)[1].snapshot == (100, 4)


def test_a_conflicting_log_is_replaced_by_truncation_and_snapshot_in_one_write() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 9))])
    wal.append([GroupWrite(1, truncate_from=5, snapshot=(5, 3), entries=entries(6, 6, term=3))])
    assert reopened(files)[1] == RecoveredGroup(HardState(), entries(6, 6, term=3), (5, 3))


def test_a_commit_past_the_end_of_the_log_is_lowered_to_it() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, HardState(3, 1, 50), entries(1, 4))])
    assert reopened(files)[1].hard_state == HardState(3, 1, 4)


@pytest.mark.parametrize(
    "write",
    [
        GroupWrite(1, entries=entries(6, 7)),
        GroupWrite(1, entries=entries(0, 2)),
        GroupWrite(1, entries=[entry(4), entry(6)]),
        GroupWrite(1, truncate_from=2, entries=entries(4, 5)),
        GroupWrite(1, truncate_from=1),
        GroupWrite(2, entries=entries(2, 3)),
        GroupWrite(2, snapshot=(10, 1), entries=entries(12, 12)),
    ],
    ids=[
        "gap",
        "index 0",
        "hole",
        "gap after truncation",
        "under the snapshot",
        "new",
        "installed",
    ],
)
def test_a_write_that_would_leave_a_gap_is_refused_and_nothing_is_written(
    write: GroupWrite,
) -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 4), snapshot=(2, 1))])
    before = files.operations
    with pytest.raises(ValueError, match=f"group {write.group}"):
        wal.append([GroupWrite(3, HardState(9)), write])
    assert files.operations == before
    assert list(reopened(files)) == [1]


def test_writes_of_one_group_in_one_batch_build_on_each_other() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 2)), GroupWrite(1, entries=entries(3, 4))])
    assert reopened(files)[1].entries == entries(1, 4)


def test_the_log_rolls_over_and_reads_back_across_segments() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    for index in range(1, 101):
        wal.append([GroupWrite(1, HardState(1, 1, index), [entry(index, data=b"x" * 100)])])
    assert wal.segment_count > 5
    assert reopened(files)[1].entries == entries(1, 100, data=b"x" * 100)


def test_a_batch_larger_than_a_segment_gets_a_segment_of_its_size() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    large = entry(2, data=b"y" * (5 * SMALL))
    wal.append([GroupWrite(1, entries=[entry(1)])])
    wal.append([GroupWrite(1, entries=[large])])
    wal.append([GroupWrite(1, entries=[entry(3)])])
    assert reopened(files)[1].entries == [entry(1), large, entry(3)]


def test_segments_are_written_with_zeros_before_they_are_used() -> None:
    files = VirtualFiles()
    open_wal(files)
    assert [len(files.content(path)) for path in segments(files)] == [SMALL]
    assert files.content(f"{DIRECTORY}/wal-reserve.log") == bytes(SMALL)
    assert files.copy().paths() == files.crash(lambda: False).paths()


def test_a_prepared_segment_spares_the_append_its_zeros() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    while not wal.prepare_next():
        pass
    before = files.sync_count
    wal.append([GroupWrite(1, entries=[entry(1, data=b"x" * 1200)])])
    wal.append([GroupWrite(1, entries=[entry(2, data=b"x" * 1200)])])
    assert wal.segment_count == 2
    assert files.sync_count == before + 2
    assert not wal.prepared


def test_a_prepared_segment_is_found_again_after_a_restart() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 2))])
    while not wal.prepare_next():
        pass
    after = files.crash(lambda: False)
    again, groups = open_wal(after)
    assert again.prepared
    assert again.segment_count == 1
    assert groups[1].entries == entries(1, 2)


def test_release_removes_segments_that_nobody_needs() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    for index in range(1, 51):
        wal.append([GroupWrite(1, HardState(1, 1, index), [entry(index, data=b"x" * 100)])])
    many = wal.segment_count
    wal.append([GroupWrite(1, snapshot=(40, 1))])
    assert wal.segment_count == many
    wal.release(1, 36)
    assert wal.segment_count < many
    held = reopened(files)[1]
    assert held.snapshot == (40, 1)
    assert held.hard_state == HardState(1, 1, 50)
    assert held.entries[0].index <= 36
    assert held.entries == entries(held.entries[0].index, 50, data=b"x" * 100)


def test_a_release_is_remembered_from_the_next_segment_on() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 9), snapshot=(9, 1))])
    wal.append([GroupWrite(2, entries=entries(1, 9))])
    wal.release(1, 8)
    assert len(reopened(files)[1].entries) == 9
    wal.append([GroupWrite(2, entries=entries(10, 10, data=b"x" * 1800))])
    assert wal.segment_count == 2
    assert reopened(files)[1].entries == entries(8, 9)


def test_what_no_snapshot_covers_cannot_be_released() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 9), snapshot=(5, 1))])
    with pytest.raises(ValueError, match="no snapshot at 6"):
        wal.release(1, 7)
    with pytest.raises(ValueError, match="group 2"):
        wal.release(2, 1)
    wal.release(1, 6)


def test_an_idle_group_pins_segments_until_its_tail_is_rewritten() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(7, HardState(3, 2, 2), entries(1, 2), snapshot=(1, 1))])
    for index in range(1, 51):
        wal.append([GroupWrite(1, entries=[entry(index, data=b"x" * 100)])])
    wal.append([GroupWrite(1, snapshot=(50, 1))])
    wal.release(1, 51)
    assert wal.pinning() == {1: 0, 7: wal.segment_count}
    assert wal.segment_count > 3
    wal.rewrite(7, HardState(3, 2, 2), (1, 1), entries(2, 2))
    assert wal.segment_count == 1
    assert wal.pinning() == {1: 0, 7: 1}
    groups = reopened(files)
    assert groups[7] == RecoveredGroup(HardState(3, 2, 2), entries(2, 2), (1, 1))
    # What the last segment still holds of the other group is a kept tail.
    assert groups[1].snapshot == (50, 1)
    assert [held.index for held in groups[1].entries] == [49, 50]


def test_a_rewrite_must_be_the_whole_tail() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 9), snapshot=(5, 1))])
    before = files.operations
    for wrong in (entries(6, 8), entries(7, 9), []):
        with pytest.raises(ValueError, match="not the whole"):
            wal.rewrite(1, HardState(), (5, 1), wrong)
    assert files.operations == before
    wal.rewrite(1, HardState(), (5, 1), entries(6, 9))
    assert reopened(files)[1].entries == entries(1, 9)

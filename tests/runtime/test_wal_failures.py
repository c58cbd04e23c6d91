"""A disk that fails, fills up or loses power costs nothing that was acknowledged."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import suppress

import pytest

from quorate.errors import DiskFull, StorageFailed
from quorate.protocol.raft.messages import Entry, EntryKind, HardState
from quorate.runtime.wal import GroupWrite, RecoveredGroup, Wal
from quorate.simulation.disk import Draw, PowerLost, VirtualFiles, chance

from .wal_cases import DIRECTORY, SMALL, entries, entry, open_wal, reopened


def accepted(wal: Wal, new: Entry) -> bool:
    try:
        wal.append([GroupWrite(1, entries=[new])])
    except DiskFull:
        return False
    return True


@pytest.mark.parametrize("error_number", [errno.EIO, errno.ENOSPC])
def test_a_failed_sync_ends_the_log(error_number: int) -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 2))])
    files.fail("sync", error_number)
    with pytest.raises(StorageFailed):
        wal.append([GroupWrite(1, entries=entries(3, 4))])
    before = files.operations
    for refused in (
        lambda: wal.append([GroupWrite(1, entries=entries(3, 4))]),
        lambda: wal.release(1, 1),
        lambda: wal.rewrite(1, HardState(), (0, 0), entries(1, 2)),
        wal.prepare_next,
    ):
        with pytest.raises(StorageFailed):
            refused()
    assert files.operations == before
    assert reopened(files)[1].entries == entries(1, 2)


def test_a_failed_write_ends_the_log() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    files.fail("write", errno.EIO)
    with pytest.raises(StorageFailed):
        wal.append([GroupWrite(1, entries=entries(1, 2))])
    with pytest.raises(StorageFailed):
        wal.append([GroupWrite(1, entries=entries(1, 2))])


def test_a_batch_read_from_the_page_cache_after_a_failed_sync_is_made_durable() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    files.fail("sync", errno.EIO)
    with pytest.raises(StorageFailed):
        wal.append([GroupWrite(1, entries=entries(1, 2))])
    # The process starts again, the machine did not: the pages are there, and count as clean.
    _, groups = open_wal(files)
    assert groups[1].entries == entries(1, 2)
    assert reopened(files)[1].entries == entries(1, 2)


def test_a_rollover_read_from_the_page_cache_is_made_durable_with_its_opening() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 1, data=b"x" * 1500))])
    while not wal.prepare_next():
        pass
    files.fail("sync", errno.EIO)
    with pytest.raises(StorageFailed):
        wal.append([GroupWrite(1, entries=entries(2, 2, data=b"y" * 600))])
    again, groups = open_wal(files)
    assert again.segment_count == 2
    assert reopened(files) == groups
    assert [held.index for held in groups[1].entries] == [1, 2]


def test_a_full_disk_refuses_data_and_loses_none() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    files.capacity = files.used
    index = 1
    while accepted(wal, entry(index, data=b"x" * 100)):
        index += 1
    assert index > 5
    assert wal.last_batch == index - 1
    assert reopened(files)[1].entries == entries(1, index - 1, data=b"x" * 100)
    with pytest.raises(DiskFull):
        wal.prepare_next()
    files.capacity = None
    wal.append([GroupWrite(1, entries=[entry(index, data=b"x" * 100)])])
    assert reopened(files)[1].entries == entries(1, index, data=b"x" * 100)


def test_votes_and_configurations_go_on_in_the_reserve_while_data_is_refused() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    files.capacity = files.used
    wal.append([GroupWrite(1, entries=[entry(1, data=b"x" * (SMALL - 300))])])
    for term in range(2, 12):
        essential = entry(term, term, b"c" * 60, EntryKind.CONFIGURATION)
        wal.append([GroupWrite(1, HardState(term, 1, 0), [essential])])
    assert wal.segment_count == 2
    assert not wal.prepared
    with pytest.raises(DiskFull):
        wal.append([GroupWrite(1, entries=[entry(12)])])
    held = reopened(files)[1]
    assert held.hard_state.term == 11
    assert len(held.entries) == 11

    files.capacity = None
    wal.append([GroupWrite(1, entries=[entry(12)])])
    while not wal.prepare_next():
        pass
    assert f"{DIRECTORY}/wal-reserve.log" in files.paths()


def test_a_log_opens_on_a_full_disk() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 2))])
    files.remove(f"{DIRECTORY}/wal-reserve.log")
    files.capacity = files.used
    wal, groups = open_wal(files)
    assert groups[1].entries == entries(1, 2)
    wal.append([GroupWrite(1, HardState(5))])
    with pytest.raises(DiskFull):
        wal.append([GroupWrite(1, entries=[entry(3)])])


def all_is_synced() -> bool:
    raise AssertionError("something was written and not synced")


def test_no_space_within_a_segment_refuses_the_batch_and_takes_it_back() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    wal.append([GroupWrite(1, entries=entries(1, 2))])
    files.fail("write", errno.ENOSPC)
    with pytest.raises(DiskFull):
        wal.append([GroupWrite(1, entries=entries(3, 3, data=b"refused"))])
    after = files.crash(all_is_synced)
    assert all(b"refused" not in after.content(path) for path in after.paths())
    wal.append([GroupWrite(1, entries=entries(3, 3, term=2))])
    assert reopened(files)[1].entries == entries(1, 2) + entries(3, 3, term=2)


def test_an_error_while_a_segment_is_prepared_ends_the_log() -> None:
    files = VirtualFiles()
    wal, _ = open_wal(files)
    files.fail("sync", errno.EIO, "spare")
    with pytest.raises(StorageFailed):
        wal.prepare_next()
    with pytest.raises(StorageFailed):
        wal.append([GroupWrite(1, HardState(1))])


def test_a_log_that_cannot_be_made_says_why() -> None:
    files = VirtualFiles()
    files.capacity = 100
    with pytest.raises(DiskFull):
        open_wal(files)
    files = VirtualFiles()
    files.fail("sync", errno.EIO)
    with pytest.raises(StorageFailed):
        open_wal(files)


def script(files: VirtualFiles, acknowledged: list[int]) -> None:
    """Use every part of the log; note each batch that was acknowledged."""
    wal, _ = open_wal(files, 1024)
    for index in range(1, 9):
        wal.append([GroupWrite(1, HardState(index), [entry(index, data=b"x" * 200)])])
        acknowledged.append(index)
        if index == 3:
            while not wal.prepare_next():
                pass
        if index == 6:
            wal.append([GroupWrite(1, snapshot=(5, 1))])
            wal.release(1, 5)
    wal.append([GroupWrite(2, HardState(1), entries(1, 20, data=b"y" * 100))])
    acknowledged.append(100)
    wal.rewrite(1, HardState(8), (5, 1), entries(6, 8, data=b"x" * 200))
    wal.close()


def check_script(groups: dict[int, RecoveredGroup], acknowledged: Sequence[int]) -> None:
    done = [index for index in acknowledged if index < 100]
    last = done[-1] if done else 0
    held = groups.get(1, RecoveredGroup(HardState(), [], (0, 0)))
    first = held.entries[0].index if held.entries else held.snapshot[0] + 1
    assert first <= held.snapshot[0] + 1
    # The batch that was under way may be there, whole, or not.
    assert held.hard_state.term in (last, last + 1)
    assert held.entries == entries(first, held.hard_state.term, data=b"x" * 200)
    if 100 in acknowledged or 2 in groups:
        assert groups[2].entries == entries(1, 20, data=b"y" * 100)


def power_points() -> int:
    files = VirtualFiles()
    script(files, [])
    return files.operations


def draws(seed: int) -> Sequence[Draw]:
    return (lambda: False, lambda: True, *(chance(seed * 10 + number) for number in range(4)))


def test_a_power_cut_at_any_point_loses_nothing_that_was_acknowledged() -> None:
    for point in range(power_points()):
        files = VirtualFiles()
        acknowledged: list[int] = []
        files.lose_power(point)
        with pytest.raises(PowerLost):
            script(files, acknowledged)
        for survives in draws(point):
            after = files.crash(survives)
            wal, groups = open_wal(after, 1024)
            check_script(groups, acknowledged)
            wal.append([GroupWrite(3, HardState(4))])
            _, again = open_wal(after.crash(lambda: False), 1024)
            assert again.pop(3).hard_state == HardState(4)
            assert again == groups


def test_a_power_cut_during_repair_changes_nothing() -> None:
    files = VirtualFiles()
    acknowledged: list[int] = []
    files.lose_power(power_points() * 2 // 3)
    with pytest.raises(PowerLost):
        script(files, acknowledged)
    torn = files.crash(chance(5))
    for point in range(40):
        again = torn.copy()
        again.lose_power(point)
        with suppress(PowerLost):
            open_wal(again, 1024)
        _, groups = open_wal(again.crash(chance(point)), 1024)
        check_script(groups, acknowledged)

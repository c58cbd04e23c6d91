"""The real files, clocks and threads keep the promises of their ports."""

from __future__ import annotations

import asyncio
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.protocol.raft.messages import HardState
from quorate.runtime.ports import Background, Clock, File, Files, Randomness
from quorate.runtime.snapshots import SnapshotMeta, SnapshotStore
from quorate.runtime.wal import GroupWrite, Wal
from quorate.runtime.world import RealClock, RealFiles, RealRandomness, ThreadBackground
from quorate.simulation.disk import VirtualFiles

from .wal_cases import entries


@pytest.fixture
def background() -> Iterator[ThreadBackground]:
    background = ThreadBackground()
    yield background
    background.close()


@pytest.fixture(params=["real", "in memory"])
def files_at(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Files, str]:
    """Both implementations of the port, so that the one in memory cannot drift away."""
    if request.param == "real":
        return RealFiles(), str(tmp_path / "deep" / "data")
    return VirtualFiles(), "/deep/data"


def test_the_implementations_are_the_ports(background: ThreadBackground) -> None:
    files: Files = RealFiles()
    clock: Clock = RealClock()
    randomness: Randomness = RealRandomness()
    work: Background = background
    assert all((files, clock, randomness, work))


def test_a_file_is_written_and_read_by_offset(files_at: tuple[Files, str]) -> None:
    files, directory = files_at
    files.make_directory(directory)
    file: File = files.create(f"{directory}/a")
    file.write(4, b"data")
    assert file.size() == 8
    assert file.read(0, 100) == b"\0\0\0\0data"
    file.write(2, b"XY")
    assert file.read(2, 4) == b"XYda"
    assert file.read(8, 4) == b""
    file.truncate(3)
    file.truncate(5)
    assert file.read(0, 100) == b"\0\0X\0\0"
    file.sync()
    file.close()
    again = files.open(f"{directory}/a")
    assert again.read(0, 100) == b"\0\0X\0\0"
    again.close()
    again.close()
    files.create(f"{directory}/a").close()
    assert files.open(f"{directory}/a").size() == 0


def test_names_are_listed_renamed_and_removed(files_at: tuple[Files, str]) -> None:
    files, directory = files_at
    assert files.list(directory) == []
    files.make_directory(directory)
    files.make_directory(directory)
    for name in ("b", "a", "c"):
        file = files.create(f"{directory}/{name}")
        file.write(0, name.encode())
        file.close()
    assert files.list(directory) == ["a", "b", "c"]
    files.rename(f"{directory}/a", f"{directory}/b")
    files.remove(f"{directory}/c")
    files.remove(f"{directory}/c")
    files.sync_directory(directory)
    assert files.list(directory) == ["b"]
    assert files.exists(f"{directory}/b")
    assert files.exists(directory)
    assert not files.exists(f"{directory}/a")
    with pytest.raises(FileNotFoundError):
        files.open(f"{directory}/a")
    file = files.open(f"{directory}/b")
    assert file.read(0, 9) == b"a"
    file.close()


def test_a_lock_excludes_until_it_is_released(files_at: tuple[Files, str]) -> None:
    files, directory = files_at
    files.make_directory(directory)
    release = files.lock(f"{directory}/LOCK")
    with pytest.raises(BlockingIOError):
        files.lock(f"{directory}/LOCK")
    release()
    release()
    files.lock(f"{directory}/LOCK")()


def test_files_and_directories_are_for_their_owner_only(tmp_path: Path) -> None:
    files = RealFiles()
    directory = tmp_path / "one" / "two"
    files.make_directory(str(directory))
    files.create(f"{directory}/file").close()
    files.lock(f"{directory}/LOCK")()
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o700
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "file").stat().st_mode) == 0o600
    assert stat.S_IMODE((directory / "LOCK").stat().st_mode) == 0o600


def test_a_log_and_a_snapshot_live_on_a_real_disk(tmp_path: Path) -> None:
    files = RealFiles()
    wal, _ = Wal.open(files, str(tmp_path / "wal"), segment_bytes=4096)
    for index in range(1, 101):
        wal.append([GroupWrite(1, HardState(1, 1, index), entries(index, index, data=b"x" * 100))])
    wal.append([GroupWrite(1, snapshot=(90, 1))])
    wal.release(1, 91)
    wal.close()
    again, groups = Wal.open(files, str(tmp_path / "wal"), segment_bytes=4096)
    assert again.segment_count < 5
    assert groups[1].entries[-10:] == entries(91, 100, data=b"x" * 100)
    again.close()

    writer = SnapshotStore(files, str(tmp_path / "snapshots")).begin(SnapshotMeta(1, 90, 1, b""))
    writer.write(b"state")
    meta = writer.commit()
    store = SnapshotStore(files, str(tmp_path / "snapshots"))
    assert store.latest() == meta
    assert list(store.read_chunks(meta)) == [b"state"]


def test_the_monotonic_clock_is_the_one_that_counts_sleep() -> None:
    clock = RealClock()
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    first = clock.monotonic()
    second = clock.monotonic()
    assert before <= first <= second <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def test_the_wall_clock_is_unix_time() -> None:
    before = time.time_ns()
    assert before <= RealClock().wall() <= time.time_ns()


def test_random_numbers_keep_to_their_bounds() -> None:
    randomness = RealRandomness()
    drawn = {randomness.bits(63) for _ in range(100)}
    assert len(drawn) == 100
    assert all(0 <= bits < 2**63 for bits in drawn)
    assert all(2.0 <= randomness.uniform(2.0, 3.0) <= 3.0 for _ in range(100))


def test_background_work_runs_in_order_on_one_thread_of_its_own(
    background: ThreadBackground,
) -> None:
    threads: list[int] = []
    order: list[int] = []

    def work(number: int) -> int:
        threads.append(threading.get_ident())
        order.append(number)
        return number * 2

    async def main() -> list[int]:
        return await asyncio.gather(*(background.run(work, number) for number in range(50)))

    assert asyncio.run(main()) == [number * 2 for number in range(50)]
    assert order == list(range(50))
    assert set(threads) != {threading.get_ident()}
    assert len(set(threads)) == 1


@pytest.mark.parametrize("error", [OSError(28, "full"), KeyError("x"), SystemExit(3)])
def test_background_errors_reach_the_awaiter(
    background: ThreadBackground, error: BaseException
) -> None:
    def work() -> None:
        raise error

    async def main() -> int:
        with pytest.raises(type(error)) as caught:
            await background.run(work)
        assert caught.value is error
        return await background.run(int, "7")

    assert asyncio.run(main()) == 7


def test_background_work_that_raises_stop_iteration_is_heard(background: ThreadBackground) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await background.run(next, iter(()))

    asyncio.run(main())


def test_a_cancelled_awaiter_does_not_stop_the_work_or_the_thread(
    background: ThreadBackground,
) -> None:
    started, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        started.set()
        go_on.wait()
        done.append("work")

    async def main() -> None:
        first = asyncio.ensure_future(background.run(work))
        second = asyncio.ensure_future(background.run(done.append, "queued"))
        await asyncio.to_thread(started.wait)
        first.cancel()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        await background.run(done.append, "after")

    asyncio.run(main())
    assert done == ["work", "queued", "after"]


def test_a_loop_that_closed_meanwhile_does_not_stop_the_thread(
    background: ThreadBackground,
) -> None:
    go_on = threading.Event()

    async def leave() -> None:
        waiting = asyncio.ensure_future(background.run(go_on.wait))
        await asyncio.sleep(0)
        waiting.cancel()

    async def main() -> int:
        return await background.run(int, "7")

    asyncio.run(leave())
    go_on.set()
    assert asyncio.run(main()) == 7


def test_close_waits_for_what_was_asked_for_and_refuses_more() -> None:
    background = ThreadBackground()
    done: list[int] = []

    async def main() -> None:
        work = [asyncio.ensure_future(background.run(done.append, n)) for n in range(20)]
        await asyncio.sleep(0)
        background.close()
        assert done == list(range(20))
        await asyncio.gather(*work)
        with pytest.raises(RuntimeError, match="after close"):
            await background.run(done.append, 99)

    asyncio.run(main())
    background.close()
    assert done == list(range(20))

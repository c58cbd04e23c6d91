"""`file:PATH`: durable, and shared by the processes of one machine, whoever of them dies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.errors import ConfigurationError, Unavailable

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

COUNTS = """
import sys
import quorate

with quorate.Client(sys.argv[1]) as client:
    print("open", flush=True)
    for _ in range(int(sys.argv[2])):
        with client.lock("counter", ttl=5) as held:
            found = client.kv.get("count")
            count = int(found.value) + 1 if found else 1
            client.kv.put("count", str(count))
            print(count, held.token, flush=True)
"""


class Counting:
    """A process that counts under the lock, and says each count with its token."""

    def __init__(self, url: str, times: int) -> None:
        command = [sys.executable, "-c", COUNTS, url, str(times)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self._lines = self.process.stdout

    def opened(self) -> None:
        assert self._lines.readline() == "open\n"

    def counted(self) -> tuple[int, int]:
        count, token = self._lines.readline().split()
        return int(count), int(token)

    def end(self) -> None:
        """SIGKILL, if it still runs."""
        self.process.kill()
        self.process.wait()
        self._lines.close()

    def rest(self) -> list[tuple[int, int]]:
        """Wait for its end, and return what it counted since."""
        lines = self._lines.read().splitlines()
        self.process.wait()
        # A process that was killed may have been in the middle of a line.
        pairs = [line.split() for line in lines if len(line.split()) == 2]
        return [(int(count), int(token)) for count, token in pairs]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file:{tmp_path}/store"


@pytest.fixture
def started() -> Iterator[list[Counting]]:
    processes: list[Counting] = []
    yield processes
    for each in processes:
        each.end()


def test_what_was_acknowledged_is_there_after_the_process_was_killed(
    url: str, started: list[Counting]
) -> None:
    first = Counting(url, 1_000_000)
    started.append(first)
    first.opened()
    for _ in range(50):
        last, _ = first.counted()
    first.process.kill()
    rest = first.rest()
    last = rest[-1][0] if rest else last
    with quorate.Client(url) as client:
        found = client.kv.get("count")
    assert found is not None
    assert int(found.value) in (last, last + 1)


def test_processes_share_it_and_a_death_of_the_owner_loses_nothing(
    url: str, started: list[Counting]
) -> None:
    owner = Counting(url, 1_000_000)
    started.append(owner)
    owner.opened()
    owner.counted()
    others = [Counting(url, 100) for _ in range(2)]
    started.extend(others)
    for other in others:
        other.opened()
        other.counted()
    owner.process.kill()
    counted = owner.rest() + [pair for other in others for pair in other.rest()]
    assert all(other.process.returncode == 0 for other in others)
    tokens = [token for _, token in sorted(counted)]
    assert tokens == sorted(set(tokens))
    with quorate.Client(url) as client:
        found = client.kv.get("count")
    assert found is not None
    counts = {count for count, _ in counted}
    assert int(found.value) == max(counts)


def test_another_process_takes_over_when_the_owner_leaves(url: str) -> None:
    async def body() -> None:
        first = quorate.AsyncClient(url)
        await first.kv.put("k", "1")
        second = quorate.AsyncClient(url)
        await second.kv.put("k", "2")
        watch = second.kv.watch("k", from_revision=1)
        await first.close()
        await second.kv.put("k", "3")
        seen = []
        async for event in watch:
            seen.append(event.kv.value)
            if event.kv.value == b"3":
                break
        assert seen == [b"1", b"2", b"3"]
        await second.close()

    asyncio.run(body())


def test_a_path_that_can_be_no_directory_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")

    async def body() -> None:
        with pytest.raises(ConfigurationError, match="can be no store"):
            quorate.AsyncClient(f"file:{tmp_path}/taken")

    asyncio.run(body())


def test_a_store_that_is_damaged_says_so(url: str) -> None:
    async def fill() -> None:
        async with quorate.AsyncClient(url) as client:
            for number in range(50):
                await client.kv.put("k", str(number))

    async def look() -> None:
        async with quorate.AsyncClient(url, timeout=2) as client:
            with pytest.raises(Unavailable, match="damaged"):
                await client.kv.get("k")

    asyncio.run(fill())
    log = min(Path(url.removeprefix("file:")).glob("wal/wal-0*"))
    content = bytearray(log.read_bytes())
    for place in range(2000, 2100):
        content[place] ^= 0xFF
    log.write_bytes(content)
    asyncio.run(look())


def test_a_path_may_be_longer_than_the_name_of_a_socket(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120) / ("y" * 120)
    with quorate.Client(f"file:{long}") as client:
        client.kv.put("k", "v")
        assert client.kv.get("k") is not None

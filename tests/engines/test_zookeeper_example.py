"""The classic example does what its page says, with real servers."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate

from .zookeeper_servers import HOW_TO_GET, ZooKeeperServers, installed

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not installed(), reason=HOW_TO_GET),
]
PROGRAM = Path(__file__).parents[2] / "examples" / "zookeeper_lock.py"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ZooKeeperServers]:
    with ZooKeeperServers(tmp_path, 1) as started:
        yield started


def run(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), url, "2"], stdout=subprocess.PIPE, text=True
    )


def tokens(output: str) -> list[int]:
    return [int(line.rsplit(" ", 1)[1]) for line in output.splitlines() if "token" in line]


def test_two_programs_take_turns_under_rising_tokens(server: ZooKeeperServers) -> None:
    with run(server.url) as one, run(server.url) as two:
        outputs = [one.communicate(timeout=60)[0], two.communicate(timeout=60)[0]]
    assert one.returncode == two.returncode == 0
    first, second = sorted(tokens(output) for output in outputs)
    assert len(set(first)) == len(set(second)) == 1
    assert len(first) == len(second) == 3
    assert first < second


def test_a_lost_session_is_noticed_and_the_work_begun_anew(server: ZooKeeperServers) -> None:
    """The program stands still for longer than its session lives, and another is let in."""
    with run(server.url) as program:
        assert program.stdout is not None
        lines: list[str] = []
        while "step 1" not in "".join(lines):
            lines.append(program.stdout.readline())
        program.send_signal(signal.SIGSTOP)
        asyncio.run(take_over(server.url))
        program.send_signal(signal.SIGCONT)
        rest, _ = program.communicate(timeout=120)
    output = "".join(lines) + rest
    assert program.returncode == 0
    assert "the session was lost" in output
    assert output.endswith("done, and released\n")
    assert len(set(tokens(output))) == 2


async def take_over(url: str) -> None:
    async with quorate.AsyncClient(url) as client, client.lock("my_lock", ttl=2) as held:
        held.check()

"""The guard of a file, with real processes: they take turns, and a crash leaves no door open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quorate import ConfigurationError, StaleToken
from quorate.fencing import fenced_write

WRITER = """
import sys
from quorate import StaleToken
from quorate.fencing import fenced_write

path, first, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for token in range(first, 100, step):
    try:
        fenced_write(path, b"%d\\n" % token * 5000, token)
    except StaleToken as error:
        assert error.highest > token
    else:
        print(token, flush=True)
"""
DIES_WHILE_IT_WRITES = """
import resource, signal, sys
from quorate.fencing import fenced_write

# The kernel kills it in the middle of the data, which is larger than the fence.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
fenced_write(sys.argv[1], b"new" * 1000, int(sys.argv[2]))
"""
STOPS_BEFORE_IT_WRITES = """
import signal, sys
from quorate.fencing import fenced_write

signal.raise_signal(signal.SIGSTOP)
fenced_write(sys.argv[1], b"of the sleeper", int(sys.argv[2]))
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *(str(each) for each in arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.system
def test_processes_that_write_at_once_leave_what_the_highest_token_wrote_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    writers = [start(WRITER, path, first, 3) for first in (1, 2, 3)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    written: list[int] = []
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        output, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
        written += [int(line) for line in output.split()]
    assert max(written) == 99
    assert path.read_bytes() == b"99\n" * 5000
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "ledger",
        "ledger.fence",
        "ledger.fence.lock",
    ]


@pytest.mark.system
def test_a_writer_that_is_killed_while_it_writes_leaves_the_old_file_and_the_new_fence(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    fenced_write(path, b"old", 5)
    killed = start(DIES_WHILE_IT_WRITES, path, 8)
    _, errors = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGXFSZ, errors
    assert path.read_bytes() == b"old"
    with pytest.raises(StaleToken, match="it has seen 8"):
        fenced_write(path, b"stale", 5)
    assert path.read_bytes() == b"old"
    fenced_write(path, b"of the next holder", 8)
    assert path.read_bytes() == b"of the next holder"


@pytest.mark.system
def test_a_process_that_was_stopped_and_goes_on_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    sleeper = start(STOPS_BEFORE_IT_WRITES, path, 5)
    _, status = os.waitpid(sleeper.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    fenced_write(path, b"of the next holder", 8)
    sleeper.send_signal(signal.SIGCONT)
    _, errors = sleeper.communicate(timeout=60)
    assert "StaleToken" in errors
    assert path.read_bytes() == b"of the next holder"


def test_both_names_of_a_file_have_one_fence(tmp_path: Path) -> None:
    path, link = tmp_path / "ledger", tmp_path / "link"
    fenced_write(path, b"new", 8)
    link.symlink_to(path)
    with pytest.raises(StaleToken):
        fenced_write(link, b"stale", 5)
    fenced_write(link, b"newer", 9)
    assert link.is_symlink()
    assert path.read_bytes() == b"newer"


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b"old")
    path.chmod(0o640)
    fenced_write(path, b"new", 8)
    assert path.stat().st_mode & 0o7777 == 0o640


def test_a_fence_that_holds_no_token_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    fenced_write(path, b"old", 5)
    (tmp_path / "ledger.fence").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="highest token"):
        fenced_write(path, b"new", 8)
    assert path.read_bytes() == b"old"

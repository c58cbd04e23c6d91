"""`quorate elect`, `semaphore` and `queue`, on a store in a directory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import quorate

pytestmark = pytest.mark.system
SHOWS = "import os; print(os.environ['QUORATE_FENCING_TOKEN'], os.environ['{variable}'])"


def quorate_command(url: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command, *rest = arguments
    options = ["--url", url]
    place = rest.index("--") if "--" in rest else len(rest)
    line = [sys.executable, "-m", "quorate", command, *rest[:place], *options, *rest[place:]]
    return subprocess.run(
        line, input=given, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file:{tmp_path}/store"


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (("elect", "office"), "QUORATE_ELECTION"),
        (("semaphore", "office", "-n", "2"), "QUORATE_SEMAPHORE"),
    ],
)
def test_a_command_runs_with_its_token(url: str, command: tuple[str, ...], variable: str) -> None:
    code = SHOWS.format(variable=variable)
    tokens = []
    for _ in range(2):
        done = quorate_command(url, *command, "--", sys.executable, "-c", code)
        assert done.returncode == 0, done.stderr
        token, name = done.stdout.split()
        assert name == "office"
        tokens.append(int(token))
    assert tokens[0] < tokens[1]
    done = quorate_command(url, *command, "--", sys.executable, "-c", "raise SystemExit(7)")
    assert done.returncode == 7


def test_whoever_has_no_patience_is_told_so(url: str) -> None:
    with quorate.Client(url) as client, client.election("office", "me"):
        done = quorate_command(url, "elect", "office", "--timeout", "0", "--", "true")
    assert done.returncode == 3
    assert "election" in done.stderr


def test_elements_go_into_a_queue_and_out_of_it(url: str) -> None:
    assert quorate_command(url, "queue", "put", "jobs", "late").returncode == 0
    given = quorate_command(url, "queue", "put", "jobs", "-", "--priority", "1", given="soon")
    assert given.returncode == 0
    assert json.loads(quorate_command(url, "queue", "size", "jobs", "--json").stdout) == {"size": 2}
    failing = [sys.executable, "-c", "raise SystemExit(4)"]
    done = quorate_command(url, "queue", "take", "jobs", "--", *failing)
    assert (done.returncode, "given back" in done.stderr) == (4, True)
    echo = [sys.executable, "-c", "print(input().upper())"]
    assert quorate_command(url, "queue", "take", "jobs", "--", *echo).stdout == "SOON\n"
    taken = json.loads(quorate_command(url, "queue", "take", "jobs", "--json").stdout)
    assert taken["value"] == "late"
    assert quorate_command(url, "queue", "size", "jobs").stdout == "0\n"

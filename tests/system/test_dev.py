"""`quorate dev`: its nodes are stopped and started from another terminal."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import quorate
from quorate.runtime.world import RealFiles

pytestmark = pytest.mark.system


def quorate_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "quorate", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def until_free(lock: Path) -> None:
    """Wait until the process that has a lock has ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            RealFiles().lock(str(lock))()
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"{lock} is still held")


class Dev:
    """A `quorate dev` in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        command = [sys.executable, "-m", "quorate", "dev", "--port", "0", "--json"]
        self.process = subprocess.Popen(
            [*command, "--data-dir", str(directory)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.document: dict[str, Any] = json.loads(self.process.stdout.readline())

    @property
    def url(self) -> str:
        return str(self.document["url"])

    def pid(self, name: str) -> int:
        (pid,) = (node["pid"] for node in self.document["nodes"] if node["name"] == name)
        return int(pid)

    def ask(self, action: str, name: str) -> subprocess.CompletedProcess[str]:
        return quorate_command("dev", action, name, "--data-dir", str(self.directory))

    def parts(self) -> dict[str, bool]:
        done = quorate_command("status", "--url", self.url, "--json")
        return {node["name"]: node["healthy"] for node in json.loads(done.stdout)["nodes"]}

    def close(self) -> int:
        self.process.terminate()
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    # The path of the socket is longer than an address can be.
    started = Dev(tmp_path / ("d" * 100))
    yield started
    assert started.close() == 0
    assert not (started.directory / "dev.sock").exists()


def test_a_node_is_stopped_and_started_again(dev: Dev) -> None:
    with quorate.Client(dev.url) as client:
        client.kv.put("k", "before")
        stopped = dev.ask("stop", "node2")
        assert stopped.returncode == 0, stopped.stderr
        assert stopped.stdout == "node2 was stopped\n"
        client.kv.put("k", "meanwhile")
        assert dev.parts() == {"node1": True, "node2": False, "node3": True}
        again = dev.ask("stop", "node2")
        assert again.returncode == 2
        assert again.stderr == "quorate: node2 does not run\n"
        started = dev.ask("start", "node2")
        assert started.returncode == 0, started.stderr
        assert "node2 runs as process" in started.stdout
        assert dev.parts() == {"node1": True, "node2": True, "node3": True}
        again = dev.ask("start", "node2")
        assert again.returncode == 2
        assert "node2 runs already" in again.stderr


def test_a_killed_node_stays_dead_until_it_is_started(dev: Dev) -> None:
    os.kill(dev.pid("node1"), signal.SIGKILL)
    assert dev.ask("stop", "node1").returncode == 2
    assert not dev.parts()["node1"]
    assert dev.ask("start", "node1").returncode == 0
    assert dev.parts()["node1"]


def test_a_name_that_nobody_has_is_refused(dev: Dev) -> None:
    done = dev.ask("stop", "node9")
    assert done.returncode == 2
    assert done.stderr == ("quorate: no node is called 'node9': there are node1, node2, node3\n")


def test_a_second_dev_on_the_directory_is_refused_in_one_line(dev: Dev) -> None:
    done = quorate_command("dev", "--data-dir", str(dev.directory))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "a dev cluster runs on" in done.stderr
    assert dev.parts() == {"node1": True, "node2": True, "node3": True}


def test_the_socket_is_its_owners_alone_and_takes_no_nonsense(dev: Dev) -> None:
    path = dev.directory / "dev.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    short = f"/proc/self/fd/{(descriptor := os.open(dev.directory, os.O_RDONLY))}/dev.sock"
    for nonsense in (b"\n", b"{}\n", b'{"action": "burn", "name": "node1"}\n'):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(short)
            connection.sendall(nonsense)
            answer = json.loads(connection.makefile("rb").readline())
            assert "no question" in answer["error"]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(short)
        connection.sendall(b"x" * 100_000)
        assert connection.makefile("rb").readline() == b""
    os.close(descriptor)
    assert dev.ask("stop", "node3").returncode == 0


def test_no_dev_there_is_said(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        done = quorate_command("dev", "start", "node1", "--data-dir", str(directory))
        assert done.returncode == 2
        assert "no dev cluster runs on" in done.stderr


def test_a_dev_that_died_leaves_the_directory_free(tmp_path: Path) -> None:
    first = Dev(tmp_path / "dev")
    first.process.kill()
    assert first.close() != 0
    assert (tmp_path / "dev" / "dev.sock").exists()
    for name in ("node1", "node2", "node3"):
        until_free(tmp_path / "dev" / name / "lock")
    done = quorate_command("dev", "stop", "node1", "--data-dir", str(tmp_path / "dev"))
    assert "no dev cluster runs on" in done.stderr
    second = Dev(tmp_path / "dev")
    assert second.ask("stop", "node1").returncode == 0
    assert second.close() == 0

"""What a newcomer does first: clone, `make dev`, connect, Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate

ROOT = Path(__file__).parents[2]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE_SECONDS = 120
PORTS = (7400, 7401, 7402, 7500, 7501, 7502)
CTRL_C = b"\x03"


def taken(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def environment() -> dict[str, str]:
    """Return what a login shell has: no virtual environment, the system's own Python."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VIRTUAL_ENV", "PYTHON", "PYENV", "QUORATE", "PYTEST", "MAKE"))
    }
    system = shutil.which("python3", path=SYSTEM_PATH)
    if system and subprocess.run([system, "-m", "pip", "--version"], check=False).returncode == 0:
        kept["PATH"] = SYSTEM_PATH
    return {**kept, "TERM": "xterm"}


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self._master, slave = pty.openpty()
        # A session of its own with this terminal, so that Ctrl-C reaches whoever is in front.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            cwd=directory,
            env=environment(),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.shown = ""

    def read_until(self, text: str, seconds: float) -> None:
        """Read until the text was shown, or until the end when it is empty."""
        deadline = time.monotonic() + seconds
        while not text or text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} was not shown within {seconds} s:\n{self.shown}"
            if not select.select([self._master], [], [], left)[0]:
                continue
            try:
                data = os.read(self._master, 65536)
            except OSError:  # how Linux says that nobody holds the other end
                data = b""
            if not data:
                assert not text, f"it ended without {text!r}:\n{self.shown}"
                return
            self.shown += data.decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)


@contextlib.contextmanager
def terminal(command: list[str], directory: Path) -> Iterator[Terminal]:
    made = Terminal(command, directory)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.system
@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.skipif(any(map(taken, PORTS)), reason="something serves on the ports of `dev` here")
def test_a_fresh_clone_serves_within_two_minutes(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    with terminal(["make", "dev"], clone) as shell:
        shell.read_until("The cluster serves at", PATIENCE_SECONDS)
        shell.read_until("healthy", 30)
        with quorate.Client() as client, client.lock("first") as held:
            client.kv.put("token", str(held.token))
            found = client.kv.get("token")
            assert found is not None
            assert found.value == str(held.token).encode()
        shell.type(CTRL_C)
        shell.read_until("", 30)
        shell.process.wait(30)
        assert "Traceback" not in shell.shown
        # `make` itself says that it was interrupted; nothing else failed.
        assert shell.process.returncode in (0, 2, 130, -signal.SIGINT), shell.shown
        assert not any(map(taken, PORTS)), "no node is left behind"

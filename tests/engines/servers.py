"""Other projects' servers on this machine: an ensemble of processes that come and go."""

from __future__ import annotations

import abc
import asyncio
import signal
import subprocess
from pathlib import Path
from typing import Self

START_SECONDS = 60.0


class Servers(abc.ABC):
    """`count` servers, each a process with a directory of its own; `with` runs all of them."""

    def __init__(self, directory: Path, count: int = 3) -> None:
        self.count = count
        self._directory = directory
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """What a client opens."""

    @abc.abstractmethod
    async def ready(self) -> None:
        """Wait until they answer."""

    @abc.abstractmethod
    def _command(self, server: int, home: Path) -> list[str]:
        """Return how one is started; what it needs is in `home` then."""

    def start(self, server: int) -> None:
        """Start one, or start it again."""
        home = self._directory / f"n{server}"
        home.mkdir(parents=True, exist_ok=True)
        command = self._command(server, home)
        with (home / "log").open("ab") as log:
            self._processes[server] = subprocess.Popen(
                command, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, server: int) -> None:
        """SIGKILL."""
        process = self._processes[server]
        if process is not None:
            process.kill()
            process.wait()

    def pause(self, server: int) -> None:
        """Let one stand still."""
        self._signal(server, signal.SIGSTOP)

    def resume(self, server: int) -> None:
        """Let it go on."""
        self._signal(server, signal.SIGCONT)

    def start_all(self) -> None:
        """Start every server."""
        for server in range(self.count):
            self.start(server)

    def kill_all(self) -> None:
        """End every server."""
        for server in range(self.count):
            self.kill(server)

    def __enter__(self) -> Self:
        self.start_all()
        try:
            asyncio.run(self.ready())
        except BaseException:
            self.kill_all()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()

    def _signal(self, server: int, number: signal.Signals) -> None:
        process = self._processes[server]
        assert process is not None
        process.send_signal(number)

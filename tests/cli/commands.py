"""Shared by the tests of the command line: one command in this process, or in its own."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import pytest

from quorate.cli.main import run


class Done(NamedTuple):
    code: int
    out: str
    error: str


def here(capsys: pytest.CaptureFixture[str], *arguments: str) -> Done:
    """Run a command in this process."""
    capsys.readouterr()
    code = run(list(arguments))
    shown = capsys.readouterr()
    return Done(code, shown.out, shown.err)


def quorate_command(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "quorate", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )

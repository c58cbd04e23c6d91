"""File systems of their own for nodes, in memory, which can be filled up and emptied again."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

FILLER = "filler"
PIECE_BYTES = 1024 * 1024


def mountable() -> bool:
    """Whether file systems can be mounted here."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


def mount(directory: Path, options: str) -> None:
    """Mount a tmpfs; raises CalledProcessError where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    subprocess.run(command, check=True, capture_output=True)


def unmount(directory: Path) -> None:
    """Take it away, also while somebody looks into it."""
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path) -> None:
    """Take all the room that is left."""
    with (directory / FILLER).open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(PIECE_BYTES))


def empty(directory: Path) -> None:
    """Give the room back."""
    (directory / FILLER).unlink(missing_ok=True)

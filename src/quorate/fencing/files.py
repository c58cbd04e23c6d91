"""The guard of a file: written whole, and only with a token that is not stale.

Beside the file `NAME` stand `NAME.fence`, which holds the highest token that was let in, and
`NAME.fence.lock`, which is empty and locked by whoever writes. The fence is raised and synced
before the file is written: a crash in between refuses lower tokens and keeps the old file.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorate.errors import ConfigurationError, StaleToken
from quorate.fencing.fence import check_names


def fenced_write(path: str | os.PathLike[str], data: bytes, token: int) -> None:
    """Replace a file by `data` in one step, durably, unless the token is stale.

    Waits, and blocks its thread, while another process or thread writes this file so. Raises
    StaleToken when a higher token was let in before, ConfigurationError when the fence beside
    the file holds no number, and OSError when the disk refuses: the file is whole all the same,
    the old one or the new one.
    """
    target = Path(path).resolve()
    check_names(target.name, token)
    with _alone(target):
        fence = _beside(target, ".fence")
        highest = _highest(fence)
        if token < highest:
            raise StaleToken(str(target), token, highest)
        if token > highest:
            _replace(fence, _beside(target, ".fence.next"), b"%d\n" % token)
        _replace(target, _beside(target, ".fence.data"), data)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Let one in at a time; the lock ends with its process, however that ends."""
    descriptor = os.open(_beside(target, ".fence.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _highest(fence: Path) -> int:
    try:
        text = fence.read_bytes()
    except FileNotFoundError:
        return 0
    if not text.strip().isdigit():
        raise ConfigurationError(
            f"the fence {fence} holds no token but {text[:40]!r}: write into it the highest "
            "token that the file was written with"
        )
    return int(text)


def _replace(target: Path, fresh: Path, data: bytes) -> None:
    """Write a fresh file, sync it, put it in the target's place, and sync that.

    Its name may be the same each time, since whoever writes is alone.
    """
    with fresh.open("wb") as file:
        if target.exists():
            os.fchmod(file.fileno(), target.stat().st_mode & 0o7777)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)

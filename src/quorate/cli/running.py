"""Running a command of the shell: what stands behind "--", started, and its exit code."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Final

EXIT_NOT_FOUND: Final = 127
EXIT_NOT_RUN: Final = 126


def split_command(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what stands before "--", and the command behind it."""
    if "--" not in arguments:
        return arguments, []
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


async def start_command(
    command: list[str], environment: Mapping[str, str]
) -> asyncio.subprocess.Process | int:
    """Start it; when it can't be run say why, and return the exit code that a shell would."""
    try:
        return await asyncio.create_subprocess_exec(*command, env=environment)
    except OSError as error:
        print(f"quorate: {command[0]} can't be run: {error}", file=sys.stderr)
        return EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_RUN


def exit_code(code: int) -> int:
    """Return a process's exit code as a shell tells it: 128 and the signal that ended it."""
    return code if code >= 0 else 128 - code

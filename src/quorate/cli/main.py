"""`quorate`: the front door. Exit codes: 0 done, 1 failed, 2 misuse, 3 nobody answered.

Each command imports what it needs when it is called for, through one lazy table, so that
`quorate --help` stays fast.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

from quorate.cli.commands import COMMANDS
from quorate.errors import (
    ConfigurationError,
    InvalidRequest,
    LockTimeout,
    OutcomeUnknown,
    QuorateError,
    Unavailable,
)

EXIT_FAILED: Final = 1
EXIT_MISUSE: Final = 2
EXIT_UNAVAILABLE: Final = 3
EXIT_INTERRUPTED: Final = 130


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else EXIT_MISUSE
    if arguments[0] == "--version":
        print(importlib.import_module("importlib.metadata").version("quorate"))
        return 0
    command = COMMANDS.get(arguments[0])
    if command is None:
        print(f"quorate: there is no command {arguments[0]!r}: see quorate --help", file=sys.stderr)
        return EXIT_MISUSE
    return _run_command(command[0], arguments[1:])


def _run_command(module: str, arguments: list[str]) -> int:
    """Run a command; what it raises becomes one line and an exit code."""
    code = EXIT_FAILED
    try:
        code = importlib.import_module(module).run(arguments)
    except (Unavailable, OutcomeUnknown, LockTimeout) as error:
        code = _fail(error, EXIT_UNAVAILABLE)
    except (ConfigurationError, InvalidRequest) as error:
        code = _fail(error, EXIT_MISUSE)
    except QuorateError as error:
        code = _fail(error, EXIT_FAILED)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    return code


def _fail(error: QuorateError, code: int) -> int:
    print(f"quorate: {error}", file=sys.stderr)
    return code


def _overview() -> str:
    lines = ["usage: quorate COMMAND [OPTION...]", ""]
    lines += [f"  {name:<11} {about}" for name, (_, about) in COMMANDS.items()]
    lines += ["", "quorate COMMAND --help tells more. The cluster is found by --url, by the"]
    lines += ["environment's QUORATE_URL, else at quorate://127.0.0.1:7400."]
    return "\n".join(lines)

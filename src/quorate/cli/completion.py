"""Print the completion script of a shell, made from the commands' own parsers.

The script is static: completing starts no process.

  bash   quorate completion bash > ~/.local/share/bash-completion/completions/quorate
  zsh    quorate completion zsh > DIRECTORY/_quorate, for a DIRECTORY in $fpath
  fish   quorate completion fish > ~/.config/fish/completions/quorate.fish
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from typing import Final

import shtab

from quorate.cli.commands import COMMANDS
from quorate.cli.options import new_parser

SHELLS: Final = ("bash", "zsh", "fish")
PATHS: Final = {"FILE": shtab.FILE, "file": shtab.FILE, "DIR": shtab.DIRECTORY}
"""What is a path, by the placeholder of the argument in the usage."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser("completion", __doc__ or "", example="eval $(quorate completion bash)")
    parser.add_argument("shell", choices=SHELLS)
    return parser


def run(arguments: list[str]) -> int:
    """Print the script for a shell."""
    parsed = build_parser().parse_args(arguments)
    print(shtab.complete(whole_parser(), parsed.shell))
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser of all commands, with their paths marked as such."""
    parser = argparse.ArgumentParser(prog="quorate")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (module, about) in COMMANDS.items():
        single = importlib.import_module(module).build_parser()
        commands.add_parser(name, help=about, parents=[single], add_help=False)
    _mark_paths(parser)
    return parser


def _mark_paths(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:  # noqa: SLF001  the only way to a parser's arguments
        complete = PATHS.get(str(action.metavar or action.dest))
        if complete is not None:
            vars(action)["complete"] = complete
        if isinstance(action.choices, Mapping):
            for inner in action.choices.values():
                _mark_paths(inner)

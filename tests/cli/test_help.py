"""Every command explains itself, and explaining is quick because it loads little."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from quorate.cli.commands import COMMANDS

from .commands import here

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"


def parsers_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action.choices, Mapping):
            for inner in action.choices.values():
                yield from parsers_of(inner)


PARSERS = [
    pytest.param(parser, id=parser.prog)
    for module, _ in COMMANDS.values()
    for parser in parsers_of(importlib.import_module(module).build_parser())
]


@pytest.mark.parametrize("parser", PARSERS)
def test_help_says_what_a_command_does_with_an_example(parser: argparse.ArgumentParser) -> None:
    assert parser.description
    shown = parser.format_help()
    chooses = any(
        isinstance(action.choices, Mapping) and action.required for action in parser._actions
    )
    assert chooses or f"example:\n  {parser.prog}" in shown or "example:\n  eval" in shown
    for action in parser._actions:
        if action.option_strings:
            assert action.help, action.option_strings


@pytest.mark.parametrize("parser", PARSERS)
def test_the_reference_names_every_command_and_option(parser: argparse.ArgumentParser) -> None:
    text = REFERENCE.read_text()
    assert parser.prog in text
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            for option in action.option_strings:
                assert option in ("-h", "--help") or f"`{option}" in text, option


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    done = here(capsys, "--help")
    assert done.code == 0
    for command in COMMANDS:
        assert f"  {command} " in done.out


def test_the_overview_loads_no_command() -> None:
    code = (
        "import sys; from quorate.cli.main import run; run(['--help']);"
        "loaded = {name.partition('.')[0] for name in sys.modules};"
        "assert not loaded & {'shtab', 'rich', 'aiohttp', 'argparse'}, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_command_that_is_none_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    done = here(capsys, "burn")
    assert done.code == 2
    assert "there is no command 'burn'" in done.error
    assert here(capsys).code == 2

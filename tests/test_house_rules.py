"""The house rules that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import quorate

SOURCE = Path(quorate.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_is_one_idea_and_a_function_fits_a_screen(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= FILE_LINES_MAX
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a file opens with its law"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno <= FUNCTION_LINES_MAX, node.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_is_imported_inside_a_function(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [
                each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom)
            ]
            assert not inner, node.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_task_groups_and_wait_are_not_used(path: Path) -> None:
    # Both act in the order of addresses in memory, which no seed can repeat.
    names = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert not names & {"asyncio.TaskGroup", "asyncio.wait"}


def test_the_door_exports_what_it_says() -> None:
    assert sorted(quorate.__all__) == list(quorate.__all__)
    for name in quorate.__all__:
        assert hasattr(quorate, name)

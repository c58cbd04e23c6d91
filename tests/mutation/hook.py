"""Applies one mutant to the product while it is imported. Only tests know of it."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from tests.mutation.mutants import Mutant

import quorate

SOURCE = Path(quorate.__file__).parent


def mutated(mutant: Mutant) -> str:
    """Return the mutated source; raises ValueError when the line is absent or not unique."""
    text = (SOURCE / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.file} has the line {text.count(mutant.old)} times"
        )
    return text.replace(mutant.old, mutant.new)


class _Loader(importlib.abc.SourceLoader):
    def __init__(self, path: str, source: str) -> None:
        self._path = path
        self._source = source

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002  the protocol of loaders
        return self._path

    def get_data(self, path: str | bytes) -> bytes:  # noqa: ARG002  the protocol of loaders
        return self._source.encode()


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._name = "quorate." + mutant.file.removesuffix(".py").replace("/", ".")
        self._path = str(SOURCE / mutant.file)
        self._source = mutated(mutant)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  the protocol of finders
        target: ModuleType | None = None,  # noqa: ARG002  the protocol of finders
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Loader(self._path, self._source)
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


def install(mutant: Mutant) -> None:
    """From now on import the mutant; nothing of quorate but its door may be loaded yet."""
    for name in [each for each in sys.modules if each.startswith("quorate")]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(mutant))

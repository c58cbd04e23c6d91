"""Every mutant has its place, and the quick ones are really found."""

from __future__ import annotations

import ast

import pytest
from tests.mutation.gate import judge, main
from tests.mutation.hook import mutated
from tests.mutation.mutants import MUTANTS, Mutant

QUICK = (
    "a minority is a quorum",
    "previous values are one revision off",
    "a lock is granted without looking at who is before",
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_and_still_compiles(mutant: Mutant) -> None:
    ast.parse(mutated(mutant))


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_mutant_is_killed(name: str) -> None:
    mutant = next(each for each in MUTANTS if each.name == name)
    verdict = judge(mutant, 60.0)
    assert verdict.seed >= 0, verdict


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_gate_passes() -> None:
    assert main(["--minutes", "10"]) == 0

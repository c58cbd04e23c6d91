"""The search accepts exactly what has an explanation, and says where it gave up."""

from __future__ import annotations

from hypothesis import given, settings
from tests.simulation.checkers.executions import damaged, executions, is_explained

from quorate.simulation.checkers.linearizability import check_linearizability
from quorate.simulation.evidence import Operation


@given(executions(30))
@settings(max_examples=300, deadline=None)
def test_what_took_effect_one_by_one_is_always_explained(operations: list[Operation]) -> None:
    found = check_linearizability(operations)
    assert (found.violations, found.undecided) == ([], [])


@given(damaged(6))
@settings(max_examples=1500, deadline=None)
def test_it_agrees_with_trying_every_order(operations: list[Operation]) -> None:
    found = check_linearizability(operations)
    assert not found.undecided
    assert (found.violations == []) is is_explained(operations)

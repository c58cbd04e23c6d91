"""Makes a failing plan smaller while it fails: fewer faults first, then a shorter run.

Law: the result fails by the checker that the first run failed by. Removing chunks of halving
size, as delta debugging does (Zeller and Hildebrandt 2002, "Simplifying and Isolating
Failure-Inducing Input").
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from quorate.simulation.faults import Fault
from quorate.simulation.plan import Plan
from quorate.simulation.world import Result, World

Progress = Callable[[int, int], None]


def shrink(plan: Plan, checker: str, progress: Progress, tries_max: int = 400) -> Plan:
    """Return a smaller plan that still breaks the promise which `checker` guards.

    `progress` hears (runs so far, faults left).
    """
    tries = 0

    def fails(candidate: Plan) -> bool:
        nonlocal tries
        tries += 1
        progress(tries, len(candidate.faults))
        return _fails(World(candidate).run(), checker)

    size = max(1, len(plan.faults) // 2)
    while tries < tries_max:
        plan, removed = _without_chunks(plan, size, fails)
        if size == 1 and not removed:
            break
        size = max(1, size // 2)
    operations = len(World(plan).run_for_evidence().operations)
    while operations > 1 and tries < tries_max:
        smaller = msgspec.structs.replace(plan, operations_max=operations // 2)
        if not fails(smaller):
            break
        plan, operations = smaller, operations // 2
    return plan


def _without_chunks(plan: Plan, size: int, fails: Callable[[Plan], bool]) -> tuple[Plan, bool]:
    """Leave out every chunk of `size` faults that the failure does not need."""
    removed = False
    start = 0
    while start < len(plan.faults):
        kept: tuple[Fault, ...] = plan.faults[:start] + plan.faults[start + size :]
        candidate = msgspec.structs.replace(plan, faults=kept)
        if fails(candidate):
            plan, removed = candidate, True
        else:
            start += size
    return plan, removed


def _fails(result: Result, checker: str) -> bool:
    return any(violation.checker == checker for violation in result.violations)

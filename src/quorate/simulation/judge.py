"""The last judgement of a run: all checkers over all evidence."""

from __future__ import annotations

from quorate.simulation.evidence import Evidence
from quorate.simulation.plan import Plan


def judge(evidence: Evidence, plan: Plan, now: int) -> None:
    """Let every checker look at the evidence; what it finds becomes violations."""

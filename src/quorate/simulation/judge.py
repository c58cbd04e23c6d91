"""The last judgement of a run: all checkers over all evidence."""

from __future__ import annotations

from typing import Final

from quorate.recipes.leases import MARGIN
from quorate.simulation.checkers.barriers import check_barriers
from quorate.simulation.checkers.configs import check_configs
from quorate.simulation.checkers.counting import check_counter, check_sequence
from quorate.simulation.checkers.groups import check_groups, check_registrations, check_sightings
from quorate.simulation.checkers.latches import check_latches
from quorate.simulation.checkers.leases import check_leases
from quorate.simulation.checkers.limits import check_limits
from quorate.simulation.checkers.linearizability import check_linearizability
from quorate.simulation.checkers.locks import check_holders, check_locks
from quorate.simulation.checkers.meetings import check_meetings
from quorate.simulation.checkers.queue import check_queue
from quorate.simulation.checkers.shares import check_shares
from quorate.simulation.checkers.watches import check_watches
from quorate.simulation.checkers.writes import check_writes
from quorate.simulation.evidence import Evidence
from quorate.simulation.plan import DRIFT_MAX, Plan
from quorate.simulation.scheduler import SECOND

LATE_NS: Final = 6 * SECOND
"""How long a lease may outlive its end: a new leader begins to count it anew."""


def judge(evidence: Evidence, plan: Plan, now: int, last_election: int) -> None:
    """Let every checker look at the evidence; what it finds becomes violations.

    `now` and `last_election` are times of the run, in nanoseconds.
    """
    findings = {
        "exactly once": check_writes(evidence.operations, evidence.changes),
        "linearizability": check_linearizability(evidence.operations).violations,
        "watches": check_watches(evidence.watches, evidence.changes),
        "lock exclusion": check_locks(evidence.holds),
        "lock trust": check_holders(evidence.holds, evidence.changes),
        "shared claims": [
            *check_shares(evidence.shares),
            *check_holders(evidence.shares, evidence.changes),
        ],
        "queue": check_queue(evidence.elements, evidence.changes),
        "counter": check_counter(evidence.calls, evidence.changes),
        "sequence": check_sequence(evidence.calls),
        "latch": check_latches(evidence.calls),
        "barrier": check_barriers(evidence.calls),
        "double barrier": check_meetings(evidence.parties),
        "groups": [
            *check_groups(evidence.calls, evidence.members),
            *check_registrations(evidence.registrations, evidence.changes),
            *check_sightings(evidence.sightings),
        ],
        "rate limiter": check_limits(evidence.grants, evidence.changes, drift=DRIFT_MAX),
        "configuration": check_configs(evidence.calls, evidence.versions, evidence.changes),
        "leases": check_leases(
            evidence.leases,
            evidence.changes,
            drift=DRIFT_MAX,
            margin=MARGIN,
            late_ns=LATE_NS,
            end_ns=now,
            quiet_from=max(plan.quiet_from, last_election),
        ),
    }
    for checker, texts in findings.items():
        for text in texts:
            evidence.violation(checker, text)

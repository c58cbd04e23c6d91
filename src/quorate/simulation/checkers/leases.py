"""Whether leases lasted as long as their clients could trust them, and no longer than promised.

Law: a lease is judged by its key. It may not go while the slowest clock that is allowed still
counts the lease as proven, and must be gone soon after the ttl once nothing disturbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from quorate.simulation.checkers.sentences import first_few, seconds, text
from quorate.simulation.checkers.truth import Truth
from quorate.simulation.evidence import Change, LeaseLog


def check_leases(  # noqa: PLR0913  every bound is named by the caller
    leases: Sequence[LeaseLog],
    changes: Sequence[Change],
    *,
    drift: float,
    margin: float,
    late_ns: int,
    end_ns: int,
    quiet_from: int,
) -> list[str]:
    """Check when the keys of leases went.

    `margin` is the part of the ttl that clients give away, `drift` how much faster or slower
    than true time a clock may run (both fractions). A key must be gone `late_ns` after the
    ttl as the slowest clock counts it, or after `quiet_from` (ns) if that is later; a run
    that ended by then, at `end_ns`, does not tell. A lease that has ended is not
    renewed. What a lease's key becomes when it is
    written without that lease is not the lease's affair.
    """
    truth = Truth(changes)

    def check(lease: LeaseLog) -> Iterator[str]:
        slowest = lease.ttl_ns / (1.0 - drift)
        trusted_until = lease.proven_from + int(slowest * (1.0 - margin))
        last = max(lease.proven_from, lease.tried_until)
        due = max(last + int(slowest), quiet_from) + late_ns
        return _check(lease, truth, trusted_until, due if due < end_ns else None)

    return first_few(chain.from_iterable(check(lease) for lease in leases if lease.key_put))


def _check(lease: LeaseLog, truth: Truth, trusted_until: int, due: int | None) -> Iterator[str]:
    name = f"lease {lease.lease:x} (key {text(lease.key)} of revision {lease.key_put})"
    attached = truth.written(lease.key, lease.key_put)
    if attached is None or attached.kv.lease != lease.lease:
        yield f"{name}: no such revision attached the key to the lease"
        return
    end = _end(lease, truth)
    if end is not None and end.kv.version:
        return
    if end is not None and not lease.revoked and end.at < trusted_until:
        yield (
            f"{name} ended at {seconds(end.at)} with revision {end.revision}: proven from "
            f"{seconds(lease.proven_from)} for {seconds(lease.ttl_ns)}, its client could "
            f"trust it until {seconds(trusted_until)}"
        )
    for sent, client in lease.renewals:
        if end is not None and end.at < sent:
            yield (
                f"{name} was renewed by {client} at {seconds(sent)}, but had ended at "
                f"{seconds(end.at)} with revision {end.revision}"
            )
    if due is not None and (end is None or end.at > due):
        until = "is still there" if end is None else f"was there until {seconds(end.at)}"
        yield (
            f"{name} {until}: proven from {seconds(lease.proven_from)} for "
            f"{seconds(lease.ttl_ns)}, it was to be gone by {seconds(due)}"
        )


def _end(lease: LeaseLog, truth: Truth) -> Change | None:
    """Return the change that took the key from the lease: its deletion or another's write."""
    for change in truth.of(lease.key):
        if change.revision > lease.key_put and (
            not change.kv.version or change.kv.lease != lease.lease
        ):
            return change
    return None

"""Refusals of the machine and of nodes, as the errors that a caller sees."""

from __future__ import annotations

from typing import Final

from quorate.errors import (
    Compacted,
    DiskFull,
    FutureRevision,
    InvalidRequest,
    LeaseExists,
    LeaseNotFound,
    LimitExceeded,
    MembershipRefused,
    NotLeader,
    OutcomeUnknown,
    QuorateError,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
)
from quorate.kv.commands import Refusal, RefusalCode

_ERRORS: Final[dict[RefusalCode, type[QuorateError]]] = {
    RefusalCode.INVALID_REQUEST: InvalidRequest,
    RefusalCode.LIMIT_EXCEEDED: LimitExceeded,
    RefusalCode.FUTURE_REVISION: FutureRevision,
    RefusalCode.LEASE_NOT_FOUND: LeaseNotFound,
    RefusalCode.LEASE_EXISTS: LeaseExists,
    RefusalCode.QUOTA_EXCEEDED: QuotaExceeded,
    RefusalCode.MEMBERSHIP_REFUSED: MembershipRefused,
    RefusalCode.UNAUTHENTICATED: Unauthenticated,
    RefusalCode.NOT_LEADER: NotLeader,
    RefusalCode.UNAVAILABLE: Unavailable,
    RefusalCode.STORAGE: DiskFull,
    RefusalCode.OUTCOME_UNKNOWN: OutcomeUnknown,
    RefusalCode.SESSION_EXPIRED: OutcomeUnknown,
}


def error_of(refusal: Refusal) -> QuorateError:
    """Return the error to raise for a refusal."""
    if refusal.code is RefusalCode.COMPACTED:
        return Compacted(refusal.message, refusal.detail)
    return _ERRORS[refusal.code](refusal.message)


def refusal_of(error: QuorateError) -> Refusal:
    """Return the refusal that carries an error to where `error_of` raises it again.

    The most particular class that has a code decides; one that has none is invalid input.
    """
    message = str(error)
    if isinstance(error, Compacted):
        return Refusal(RefusalCode.COMPACTED, message, error.compact_revision)
    for kind in type(error).__mro__:
        for code, known in _ERRORS.items():
            if known is kind:
                return Refusal(code, message)
    return Refusal(RefusalCode.INVALID_REQUEST, message)

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
    RefusalCode.SESSION_EXPIRED: OutcomeUnknown,
    RefusalCode.MEMBERSHIP_REFUSED: MembershipRefused,
    RefusalCode.UNAUTHENTICATED: Unauthenticated,
    RefusalCode.NOT_LEADER: NotLeader,
    RefusalCode.UNAVAILABLE: Unavailable,
    RefusalCode.STORAGE: DiskFull,
    RefusalCode.OUTCOME_UNKNOWN: OutcomeUnknown,
}


def error_of(refusal: Refusal) -> QuorateError:
    """Return the error to raise for a refusal."""
    if refusal.code is RefusalCode.COMPACTED:
        return Compacted(refusal.message, refusal.detail)
    return _ERRORS[refusal.code](refusal.message)

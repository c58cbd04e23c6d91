"""What an etcd server's refusals mean here (etcd's `api/v3rpc/rpctypes/error.go`)."""

from __future__ import annotations

from typing import Final

import grpc
from grpc.aio import AioRpcError

from quorate.errors import (
    ConfigurationError,
    FutureRevision,
    InvalidRequest,
    LeaseExists,
    LeaseNotFound,
    LimitExceeded,
    QuorateError,
    QuotaExceeded,
    Unauthenticated,
)

PERMISSION_DENIED: Final = "permission denied"
COMPACTED: Final = "required revision has been compacted"
_BY_TEXT: Final[tuple[tuple[str, type[QuorateError]], ...]] = (
    ("requested lease not found", LeaseNotFound),
    ("lease already exists", LeaseExists),
    ("required revision is a future revision", FutureRevision),
    ("database space exceeded", QuotaExceeded),
    ("request is too large", LimitExceeded),
    ("too many operations in txn", LimitExceeded),
    ("larger than max", LimitExceeded),
    ("too large lease TTL", InvalidRequest),
    (PERMISSION_DENIED, Unauthenticated),
    ("authentication failed", Unauthenticated),
    ("user name is empty", Unauthenticated),
)
_BY_CODE: Final[dict[grpc.StatusCode, type[QuorateError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: Unauthenticated,
    grpc.StatusCode.UNIMPLEMENTED: ConfigurationError,
}
LOGIN_ENDED: Final = "invalid auth token"
_UNSENT: Final = ("failed to connect", "Connection refused", "no leader", "DNS resolution failed")


def is_compacted(error: AioRpcError) -> bool:
    """Whether it says that the history is gone."""
    return COMPACTED in (error.details() or "")


def never_sent(error: AioRpcError) -> bool:
    """Whether the request certainly reached no log."""
    details = error.details() or ""
    if LOGIN_ENDED in details:
        return True
    return error.code() is grpc.StatusCode.UNAVAILABLE and any(text in details for text in _UNSENT)


def refusal_of(error: AioRpcError) -> QuorateError | None:
    """Return the error that a refusal is; None when asking again may help."""
    details = error.details() or ""
    if LOGIN_ENDED in details:
        return None
    for text, kind in _BY_TEXT:
        if text in details:
            return kind(f"etcd: {details}")
    kind_of_code = _BY_CODE.get(error.code())
    return kind_of_code(f"etcd: {details}") if kind_of_code is not None else None

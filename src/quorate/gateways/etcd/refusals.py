"""Our errors as etcd's: clients match on its words."""

from __future__ import annotations

from typing import Final

from quorate.codecs.etcd import failures
from quorate.codecs.etcd.failures import Failure
from quorate.errors import (
    Compacted,
    DiskFull,
    FutureRevision,
    InvalidRequest,
    LeaseExists,
    LeaseNotFound,
    LimitExceeded,
    NotLeader,
    OutcomeUnknown,
    QuorateError,
    QuotaExceeded,
    Unavailable,
)
from quorate.gateways.grpc.codes import Code, RpcError

_FAILURES: Final[dict[type[QuorateError], Failure]] = {
    Compacted: failures.COMPACTED,
    FutureRevision: failures.FUTURE_REVISION,
    LeaseNotFound: failures.LEASE_NOT_FOUND,
    LeaseExists: failures.LEASE_EXISTS,
    QuotaExceeded: failures.NO_SPACE,
    DiskFull: failures.NO_SPACE,
    LimitExceeded: failures.REQUEST_TOO_LARGE,
    NotLeader: failures.LEADER_CHANGED,
    Unavailable: failures.TIMEOUT,
    OutcomeUnknown: failures.TIMEOUT,
}


def refuse(failure: Failure) -> RpcError:
    """Return the error to raise for one of etcd's failures."""
    return RpcError(Code(failure.code), failure.text)


def rpc_error(error: QuorateError) -> RpcError:
    """Return what a client of etcd hears of an error; the nearest kind that etcd knows."""
    for kind in type(error).__mro__:
        failure = _FAILURES.get(kind)
        if failure is not None:
            return refuse(failure)
    if isinstance(error, InvalidRequest):
        return RpcError(Code.INVALID_ARGUMENT, f"etcdserver: {error}")
    return RpcError(Code.UNAVAILABLE, f"etcdserver: {error}")

"""etcd's errors as its clients see them: a code of gRPC's and a text, and both are matched on.

Source: etcd's `api/v3rpc/rpctypes/error.go` (3.5), and `client/v3/concurrency/election.go` for
those of elections. Three of these changed their code in 3.6, from 14 to 9: NOT_CAPABLE,
NOT_SUPPORTED_FOR_LEARNER and CLUSTER_VERSION_UNAVAILABLE. Some came with later servers than
3.5.1: INVALID_CLIENT_API_VERSION, INVALID_SORT_OPTION, CLUSTER_ID_MISMATCH, AUTH_OLD_REVISION and
TIMEOUT_WAIT_APPLIED_INDEX.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Failure(msgspec.Struct, frozen=True):
    """One error: the code of gRPC, and the exact text."""

    code: int
    text: str


_CANCELLED: Final = 1
_UNKNOWN: Final = 2
_INVALID_ARGUMENT: Final = 3
_DEADLINE_EXCEEDED: Final = 4
_NOT_FOUND: Final = 5
_PERMISSION_DENIED: Final = 7
_RESOURCE_EXHAUSTED: Final = 8
_FAILED_PRECONDITION: Final = 9
_OUT_OF_RANGE: Final = 11
_UNAVAILABLE: Final = 14
_DATA_LOSS: Final = 15
_UNAUTHENTICATED: Final = 16

EMPTY_KEY: Final = Failure(_INVALID_ARGUMENT, "etcdserver: key is not provided")
KEY_NOT_FOUND: Final = Failure(_INVALID_ARGUMENT, "etcdserver: key not found")
VALUE_PROVIDED: Final = Failure(_INVALID_ARGUMENT, "etcdserver: value is provided")
LEASE_PROVIDED: Final = Failure(_INVALID_ARGUMENT, "etcdserver: lease is provided")
TOO_MANY_OPS: Final = Failure(_INVALID_ARGUMENT, "etcdserver: too many operations in txn request")
DUPLICATE_KEY: Final = Failure(_INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")
INVALID_CLIENT_API_VERSION: Final = Failure(
    _INVALID_ARGUMENT, "etcdserver: invalid client api version"
)
INVALID_SORT_OPTION: Final = Failure(_INVALID_ARGUMENT, "etcdserver: invalid sort option")
COMPACTED: Final = Failure(_OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")
FUTURE_REVISION: Final = Failure(
    _OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision"
)
NO_SPACE: Final = Failure(_RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")

LEASE_NOT_FOUND: Final = Failure(_NOT_FOUND, "etcdserver: requested lease not found")
LEASE_EXISTS: Final = Failure(_FAILED_PRECONDITION, "etcdserver: lease already exists")
LEASE_TTL_TOO_LARGE: Final = Failure(_OUT_OF_RANGE, "etcdserver: too large lease TTL")

WATCH_CANCELED: Final = Failure(_CANCELLED, "etcdserver: watch canceled")

MEMBER_EXISTS: Final = Failure(_FAILED_PRECONDITION, "etcdserver: member ID already exist")
PEER_URL_EXISTS: Final = Failure(_FAILED_PRECONDITION, "etcdserver: Peer URLs already exists")
MEMBER_NOT_ENOUGH_STARTED: Final = Failure(
    _FAILED_PRECONDITION, "etcdserver: re-configuration failed due to not enough started members"
)
BAD_MEMBER_URLS: Final = Failure(_INVALID_ARGUMENT, "etcdserver: given member URLs are invalid")
MEMBER_NOT_FOUND: Final = Failure(_NOT_FOUND, "etcdserver: member not found")
MEMBER_NOT_LEARNER: Final = Failure(
    _FAILED_PRECONDITION, "etcdserver: can only promote a learner member"
)
LEARNER_NOT_READY: Final = Failure(
    _FAILED_PRECONDITION,
    "etcdserver: can only promote a learner member which is in sync with leader",
)
TOO_MANY_LEARNERS: Final = Failure(
    _FAILED_PRECONDITION, "etcdserver: too many learner members in cluster"
)
CLUSTER_ID_MISMATCH: Final = Failure(_FAILED_PRECONDITION, "etcdserver: cluster ID mismatch")

REQUEST_TOO_LARGE: Final = Failure(_INVALID_ARGUMENT, "etcdserver: request is too large")
TOO_MANY_REQUESTS: Final = Failure(_RESOURCE_EXHAUSTED, "etcdserver: too many requests")

ROOT_USER_NOT_EXIST: Final = Failure(_FAILED_PRECONDITION, "etcdserver: root user does not exist")
ROOT_ROLE_NOT_EXIST: Final = Failure(
    _FAILED_PRECONDITION, "etcdserver: root user does not have root role"
)
USER_ALREADY_EXISTS: Final = Failure(_FAILED_PRECONDITION, "etcdserver: user name already exists")
USER_EMPTY: Final = Failure(_INVALID_ARGUMENT, "etcdserver: user name is empty")
USER_NOT_FOUND: Final = Failure(_FAILED_PRECONDITION, "etcdserver: user name not found")
ROLE_ALREADY_EXISTS: Final = Failure(_FAILED_PRECONDITION, "etcdserver: role name already exists")
ROLE_NOT_FOUND: Final = Failure(_FAILED_PRECONDITION, "etcdserver: role name not found")
ROLE_EMPTY: Final = Failure(_INVALID_ARGUMENT, "etcdserver: role name is empty")
AUTH_FAILED: Final = Failure(
    _INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password"
)
PERMISSION_NOT_GIVEN: Final = Failure(_INVALID_ARGUMENT, "etcdserver: permission not given")
PERMISSION_DENIED: Final = Failure(_PERMISSION_DENIED, "etcdserver: permission denied")
ROLE_NOT_GRANTED: Final = Failure(
    _FAILED_PRECONDITION, "etcdserver: role is not granted to the user"
)
PERMISSION_NOT_GRANTED: Final = Failure(
    _FAILED_PRECONDITION, "etcdserver: permission is not granted to the role"
)
AUTH_NOT_ENABLED: Final = Failure(_FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
INVALID_AUTH_TOKEN: Final = Failure(_UNAUTHENTICATED, "etcdserver: invalid auth token")
INVALID_AUTH_MANAGEMENT: Final = Failure(_INVALID_ARGUMENT, "etcdserver: invalid auth management")
AUTH_OLD_REVISION: Final = Failure(_INVALID_ARGUMENT, "etcdserver: revision of auth store is old")

NO_LEADER: Final = Failure(_UNAVAILABLE, "etcdserver: no leader")
NOT_LEADER: Final = Failure(_FAILED_PRECONDITION, "etcdserver: not leader")
LEADER_CHANGED: Final = Failure(_UNAVAILABLE, "etcdserver: leader changed")
NOT_CAPABLE: Final = Failure(_UNAVAILABLE, "etcdserver: not capable")
STOPPED: Final = Failure(_UNAVAILABLE, "etcdserver: server stopped")
TIMEOUT: Final = Failure(_UNAVAILABLE, "etcdserver: request timed out")
TIMEOUT_DUE_TO_LEADER_FAIL: Final = Failure(
    _UNAVAILABLE, "etcdserver: request timed out, possibly due to previous leader failure"
)
TIMEOUT_DUE_TO_CONNECTION_LOST: Final = Failure(
    _UNAVAILABLE, "etcdserver: request timed out, possibly due to connection lost"
)
TIMEOUT_WAIT_APPLIED_INDEX: Final = Failure(
    _UNAVAILABLE, "etcdserver: request timed out, waiting for the applied index took too long"
)
UNHEALTHY: Final = Failure(_UNAVAILABLE, "etcdserver: unhealthy cluster")
CORRUPT: Final = Failure(_DATA_LOSS, "etcdserver: corrupt cluster")
NOT_SUPPORTED_FOR_LEARNER: Final = Failure(
    _UNAVAILABLE, "etcdserver: rpc not supported for learner"
)
BAD_LEADER_TRANSFEREE: Final = Failure(_FAILED_PRECONDITION, "etcdserver: bad leader transferee")

WRONG_DOWNGRADE_VERSION_FORMAT: Final = Failure(
    _INVALID_ARGUMENT, "etcdserver: wrong downgrade target version format"
)
INVALID_DOWNGRADE_TARGET_VERSION: Final = Failure(
    _INVALID_ARGUMENT, "etcdserver: invalid downgrade target version"
)
CLUSTER_VERSION_UNAVAILABLE: Final = Failure(
    _UNAVAILABLE, "etcdserver: cluster version not found during downgrade"
)
DOWNGRADE_IN_PROCESS: Final = Failure(
    _FAILED_PRECONDITION, "etcdserver: cluster has a downgrade job in progress"
)
NO_INFLIGHT_DOWNGRADE: Final = Failure(
    _FAILED_PRECONDITION, "etcdserver: no inflight downgrade job"
)

CANCELED: Final = Failure(_CANCELLED, "etcdserver: request canceled")
DEADLINE_EXCEEDED: Final = Failure(_DEADLINE_EXCEEDED, "etcdserver: context deadline exceeded")

# The services of locks and elections say these as they are, without a code.
ELECTION_NO_LEADER: Final = Failure(_UNKNOWN, "election: no leader")
ELECTION_NOT_LEADER: Final = Failure(_UNKNOWN, "election: not leader")
LEADER_NOT_PROVIDED: Final = Failure(_UNKNOWN, '"leader" field must be provided')

FAILURES: Final = {
    failure.text: failure for failure in tuple(globals().values()) if isinstance(failure, Failure)
}
"""Every failure by its text."""

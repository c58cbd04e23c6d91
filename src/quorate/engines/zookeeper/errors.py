"""What a ZooKeeper server's refusals mean here (`KeeperException.Code`)."""

from __future__ import annotations

from typing import Final

from quorate.codecs.zookeeper.records import Code
from quorate.errors import (
    InvalidRequest,
    LimitExceeded,
    QuorateError,
    QuotaExceeded,
    Refused,
    Unauthenticated,
    UnsupportedByEngine,
)

_BY_CODE: Final[dict[int, tuple[type[QuorateError], str]]] = {
    Code.NO_AUTH: (Unauthenticated, "the nodes' access list does not allow it"),
    Code.AUTHENTICATION_FAILED: (Unauthenticated, "the user or the password is wrong"),
    Code.INVALID_ACL: (Unauthenticated, "this user cannot own what it creates"),
    Code.QUOTA_EXCEEDED: (QuotaExceeded, "a quota of ZooKeeper's is used up"),
    Code.BAD_ARGUMENTS: (InvalidRequest, "it takes no such path"),
    Code.MARSHALLING: (LimitExceeded, "it could not read the request: is it over its limit?"),
    Code.UNIMPLEMENTED: (UnsupportedByEngine, "it is older than 3.6"),
}


def refusal(code: int) -> QuorateError:
    """Return the error that a code is."""
    kind, text = _BY_CODE.get(code, (Refused, "an error that has no other name here"))
    return kind(f"zookeeper: {text} (code {code})")

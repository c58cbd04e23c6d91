"""The one tree of errors.

    QuorateError
    ├── InvalidRequest              the caller's fault; nothing was changed
    │   ├── LimitExceeded           a key, value, batch or frame over its limit
    │   ├── UnsupportedByEngine     the engine behind this URL cannot do this
    │   └── ConfigurationError      a setting, flag or file that makes no sense
    ├── Refused                     the cluster said no; nothing was changed
    │   ├── Compacted               the revision asked for is no longer kept
    │   ├── FutureRevision          the revision asked for does not exist yet
    │   ├── LeaseNotFound           the lease ended, or never was
    │   ├── LeaseExists             a lease with that id is alive
    │   ├── QuotaExceeded           the store is full: compact, delete, or raise the quota
    │   ├── MembershipRefused       a membership change that would be unsafe
    │   ├── Unauthenticated         no valid certificate or credential
    │   └── NotLeader               another node leads; the client follows by itself
    ├── Unavailable                 no answer in time, and nothing was changed
    │   └── NoInstance              nobody offers the service at this moment
    ├── OutcomeUnknown              no answer in time, and the write may have happened
    ├── LockError
    │   ├── LockLost                the lease behind a held lock can no longer be proven
    │   ├── LockTimeout             the lock was not free in time
    │   ├── LockNotHeld             release or check of a lock that this task does not hold
    │   └── StaleToken              a resource has seen a later holder's fencing token
    ├── StorageError
    │   ├── DiskFull                no space: new writes are refused, none is lost
    │   ├── StorageFailed           a write or sync failed: the node stops
    │   ├── LogDamaged              the log is damaged before its tail: the node refuses to start
    │   └── SnapshotDamaged         a snapshot does not match its checksum
    └── TransportError
        ├── HandshakeRefused        other cluster, other protocol version, wrong certificate
        ├── FrameInvalid            bytes that are no frame of ours
        └── ConnectionLost          the connection ended

Every message says what happened, to what, and what to do. `may_have_happened` tells
whether a write that failed so can still take effect.
"""


class QuorateError(Exception):
    """The root: anything that Quorate raises on purpose."""

    may_have_happened: bool = False


class InvalidRequest(QuorateError, ValueError):
    """The request makes no sense; nothing was sent or changed."""


class LimitExceeded(InvalidRequest):
    """A key, value, batch or frame is larger than its limit."""


class UnsupportedByEngine(InvalidRequest):
    """The engine behind this URL cannot do what was asked."""


class ConfigurationError(InvalidRequest):
    """A setting, flag or file makes no sense."""


class Refused(QuorateError):
    """The cluster refused the request; nothing was changed."""


class Compacted(Refused):
    """The revision asked for was compacted away.

    `compact_revision` is the oldest revision that can still be read or watched from, minus one.
    """

    def __init__(self, message: str, compact_revision: int = 0) -> None:
        super().__init__(message)
        self.compact_revision = compact_revision


class FutureRevision(Refused):
    """The revision asked for does not exist yet."""


class LeaseNotFound(Refused):
    """The lease ended, or never was."""


class LeaseExists(Refused):
    """A lease with that id is alive."""


class QuotaExceeded(Refused):
    """The store is full: compact, delete, or raise the quota."""


class MembershipRefused(Refused):
    """The membership change would be unsafe, or names nobody."""


class Unauthenticated(Refused):
    """No valid certificate or credential was shown."""


class NotLeader(Refused):
    """This node does not lead.

    `leader` is the address of the node that does, or None while there is none.
    """

    def __init__(self, message: str, leader: str | None = None) -> None:
        super().__init__(message)
        self.leader = leader


class Unavailable(QuorateError):
    """Nobody answered in time; nothing was changed."""


class NoInstance(Unavailable):
    """No instance of the service can be picked at this moment."""


class OutcomeUnknown(QuorateError):
    """Nobody answered in time; the write may or may not have happened, once at most."""

    may_have_happened = True


class LockError(QuorateError):
    """Something about a lock."""


class LockLost(LockError):
    """The lease behind a held lock can no longer be proven: stop, another may hold it."""


class LockTimeout(LockError, TimeoutError):
    """The lock was not free in time; no waiter is left behind."""


class LockNotHeld(LockError):
    """This task does not hold the lock."""


class StaleToken(LockError):
    """A resource refused a fencing token, since it has seen a later holder's.

    `resource` is what refused, `token` what it was given, `highest` the highest it has seen.
    """

    def __init__(self, resource: str, token: int, highest: int) -> None:
        super().__init__(resource, token, highest)
        self.resource = resource
        self.token = token
        self.highest = highest

    def __str__(self) -> str:
        return (
            f"{self.resource!r} refused the fencing token {self.token}: it has seen "
            f"{self.highest}, so another took the lock since; stop, you no longer hold it"
        )


class StorageError(QuorateError):
    """Something about the disk."""


class DiskFull(StorageError):
    """No space left: new writes are refused, and none is lost."""


class StorageFailed(StorageError):
    """A write or a sync failed; what is on the disk is unknown, so the node stops."""


class LogDamaged(StorageError):
    """The log is damaged before its tail: opening it would lose acknowledged writes."""


class SnapshotDamaged(StorageError):
    """A snapshot does not match its checksum."""


class TransportError(QuorateError):
    """Something about a connection."""


class HandshakeRefused(TransportError):
    """The other side belongs to another cluster, speaks another version, or is not trusted."""


class FrameInvalid(TransportError):
    """The bytes received are no frame of ours."""


class ConnectionLost(TransportError):
    """The connection ended."""

"""What a run leaves for its checkers: operations, events, and the first violation.

Law: evidence is only added. Times are the world's nanoseconds, which no process of the world
can see.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec

from quorate.store.types import KeyValue


class Violation(msgspec.Struct, frozen=True):
    """A promise that was broken: which checker saw it, when, and what exactly."""

    checker: str
    at: int
    text: str


class Outcome(enum.Enum):
    """What the caller of an operation learnt."""

    OK = "ok"
    FAILED = "failed"
    """It certainly did not happen."""
    UNKNOWN = "unknown"
    """It happened once, at some time since the call, or not at all."""


class OperationKind(enum.Enum):
    """What a client asked of one key."""

    PUT = "put"
    GET = "get"
    DELETE = "delete"
    SWAP = "swap"
    """Put if the key still has the mod revision that was expected (0: is absent)."""


class Operation(msgspec.Struct):
    """One call on one key. `returned` is -1 while it is under way."""

    client: str
    kind: OperationKind
    key: bytes
    value: bytes
    """What is written; unique in the whole run."""
    expected: int
    """For SWAP: the mod revision that the key must have."""
    called: int
    returned: int = -1
    outcome: Outcome = Outcome.UNKNOWN
    revision: int = 0
    """Of a write: its revision. Of a GET: the version's mod revision, 0 when absent."""
    found: bytes = b""
    """Of a GET: the value."""
    succeeded: bool = False
    """Of a SWAP: whether the condition held. Of a DELETE: whether there was a key."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """One change as the machine made it, and when the first node applied it."""

    revision: int
    at: int
    kv: KeyValue


class SeenEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as a watch delivered it."""

    revision: int
    key: bytes
    value: bytes
    deleted: bool
    previous: KeyValue | None


class WatchLog(msgspec.Struct):
    """Everything one watch delivered. `previous` tells whether it asked for what was there."""

    name: str
    start: int
    """The first revision that it must deliver; 0: unknown (it began at "now")."""
    prefix: bytes
    previous: bool
    events: list[SeenEvent] = []
    reached: int = 0
    """The last revision of which everything was handed out, as the watch said."""
    compacted: bool = False
    """It ended with the word that its history is gone."""


class HoldLog(msgspec.Struct):
    """One time that a client held a lock: each access to the resource while it did."""

    client: str
    lock: str
    token: int
    key: bytes
    """The key that stood for the holder."""
    accesses: list[int]
    nested: list[int] = []
    """Of a re-entrant lock: the token of each hold inside this one."""


class ElementLog(msgspec.Struct):
    """One element of a queue: what its producer learnt, and who was told that it is finished."""

    value: bytes
    put: Outcome = Outcome.UNKNOWN
    finished: list[str] = []
    doubtful: bool = False
    """Some consumer doesn't know whether it finished it."""


class CallLog(msgspec.Struct):
    """One call of a recipe. `returned` is -1 unless the caller learnt what came of it."""

    client: str
    recipe: str
    """The kind and the name of what was called, as "latch/3"."""
    verb: str
    called: int
    returned: int = -1
    outcome: Outcome = Outcome.UNKNOWN
    number: int = 0
    """What it answered, where that is a number or a revision."""
    told: tuple[str, ...] = ()
    """What was said with it, or what it answered, where that is text."""


class GrantLog(msgspec.Struct):
    """One time that somebody asked for tokens; `wall` and `wall_after` are the caller's clock."""

    client: str
    tokens: int
    patience: int | None
    """How many nanoseconds it would wait; None: for ever."""
    called: int
    wall: int
    returned: int = -1
    wall_after: int = 0
    outcome: Outcome = Outcome.UNKNOWN


class VersionsLog(msgspec.Struct):
    """What one following of a configuration gave: each revision, and the marks in it."""

    client: str
    versions: list[tuple[int, tuple[str, ...]]] = []


class PartyLog(msgspec.Struct):
    """One party of a double barrier. What did not happen is at -1."""

    client: str
    meeting: str
    began: int
    entered: int = -1
    proven: int = -1
    """When its lease was proven for the last time, after it had entered."""
    leaving: int = -1
    left: int = -1


class MemberLog(msgspec.Struct):
    """One membership of a group. What did not happen is at -1."""

    client: str
    id: str
    joined: int
    proven: int = -1
    """When it was proven for the last time, before it began to leave."""
    left: int = -1
    """When its leaving was acknowledged."""


class RegistrationLog(msgspec.Struct):
    """One registration of an instance: each moment at which it said that others see it."""

    client: str
    id: str
    moments: list[int] = []


class SightingsLog(msgspec.Struct):
    """What one following of a group or a service gave: each change's kind, and whose it was."""

    client: str
    recipe: str
    changes: list[tuple[str, str]] = []


class LeaseLog(msgspec.Struct):
    """One lease as its client saw it."""

    lease: int
    key: bytes
    ttl_ns: int
    proven_from: int
    """When the last successful renewal (or the grant) was sent."""
    key_put: int = 0
    """The revision at which the key was attached."""
    revoked: bool = False
    """Somebody asked for its end, and may have got it."""
    tried_until: int = 0
    """When the last renewal, successful or not, was over."""
    renewals: list[tuple[int, str]] = []
    """Every successful renewal: when it was sent, and by whom."""


class Evidence:
    """All that was seen of a run."""

    def __init__(self, now: Callable[[], int], halt: Callable[[], None] = lambda: None) -> None:
        self._now = now
        self._halt = halt
        self.operations: list[Operation] = []
        self.changes: list[Change] = []
        self.watches: list[WatchLog] = []
        self.holds: list[HoldLog] = []
        self.leases: list[LeaseLog] = []
        self.shares: list[HoldLog] = []
        """Semaphores, read-write and re-entrant locks, elections; `lock` begins with the kind."""
        self.elements: list[ElementLog] = []
        self.calls: list[CallLog] = []
        self.grants: list[GrantLog] = []
        self.versions: list[VersionsLog] = []
        self.parties: list[PartyLog] = []
        self.members: list[MemberLog] = []
        self.registrations: list[RegistrationLog] = []
        self.sightings: list[SightingsLog] = []
        self.violations: list[Violation] = []

    def violation(self, checker: str, text: str) -> None:
        """Note a broken promise."""
        self.violations.append(Violation(checker, self._now(), text))
        self._halt()

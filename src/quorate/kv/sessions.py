"""Exactly once: what each session wrote lately, and what came of it.

Laws: a sequence that was executed is never executed again, and one whose outcome is no
longer remembered is refused. A session that expired can't come back: a new one is made only
by a client that connected after the last expired one was born. The table is replicated
state; it is generic and never looks into the outcomes that it keeps.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Session:
    """One client's window of writes.

    `last_index` is the log index of its last write, `acked_upto` the sequence up to which
    the client wants nothing repeated, `outcomes` the encoded outcomes after that.
    """

    __slots__ = ("acked_upto", "birth", "last_index", "outcomes")

    def __init__(self, birth: int) -> None:
        self.birth = birth
        self.last_index = 0
        self.acked_upto = 0
        self.outcomes: dict[int, bytes] = {}


class SessionRecord(msgspec.Struct, array_like=True, frozen=True):
    """A session as a snapshot has it; outcomes are in the order of their sequence."""

    id: int
    birth: int
    last_index: int
    acked_upto: int
    outcomes: list[tuple[int, bytes]]


class SessionTable:
    """All sessions by id, and the horizon below which no session can be born."""

    __slots__ = ("_sessions", "_touched", "_window", "horizon")

    def __init__(self, window: int) -> None:
        self._window = window
        self._sessions: dict[int, Session] = {}
        self._touched: dict[int, None] | None = None
        self.horizon = -1
        """The highest birth of a session that expired."""

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the ids in the order in which the sessions were made."""
        return iter(self._sessions)

    def get(self, session: int) -> Session | None:
        """Return a session by its id."""
        return self._sessions.get(session)

    def admit(
        self, session: int, birth: int, sequence: int, acked_upto: int, index: int
    ) -> Session | bytes | None:
        """Decide about one write of a session.

        Returns the session if the write is to be executed (its encoded outcomes then go to
        `outcomes[sequence]`), what was remembered if it was executed before, and None if
        that can't be known: the session expired, or the sequence is outside its window.
        """
        known = self._sessions.get(session)
        if known is None:
            if birth <= self.horizon:
                return None
            known = self._sessions[session] = Session(birth)
        if self._touched is not None:
            self._touched[session] = None
        known.last_index = index
        outcomes = known.outcomes
        if acked_upto > known.acked_upto:
            _forget(outcomes, known.acked_upto, acked_upto)
            known.acked_upto = acked_upto
        remembered = outcomes.get(sequence)
        if remembered is not None:
            return remembered
        if not known.acked_upto < sequence <= known.acked_upto + self._window:
            return None
        return known

    def expire(self, session: int, last_index: int) -> None:
        """Forget a session, if it wrote nothing since `last_index`."""
        if self._touched is not None:
            self._touched[session] = None
        known = self._sessions.get(session)
        if known is None or known.last_index != last_index:
            return
        del self._sessions[session]
        self.horizon = max(self.horizon, known.birth)

    def clear(self) -> None:
        """Forget every session."""
        if self._touched is not None:
            self._touched.update(dict.fromkeys(self._sessions))
        self._sessions = {}

    def records(self) -> list[SessionRecord]:
        """Copy the table, in the order of ids."""
        return [
            SessionRecord(
                session,
                known.birth,
                known.last_index,
                known.acked_upto,
                sorted(known.outcomes.items()),
            )
            for session, known in sorted(self._sessions.items())
        ]

    def load(self, record: SessionRecord) -> None:
        """Add a session as a snapshot has it."""
        known = self._sessions[record.id] = Session(record.birth)
        known.last_index = record.last_index
        known.acked_upto = record.acked_upto
        known.outcomes.update(record.outcomes)

    def listen(self) -> None:
        """Start to collect the ids of sessions that wrote."""
        self._touched = {}

    def ignore(self) -> None:
        """Stop collecting."""
        self._touched = None

    def take_touched(self) -> list[int]:
        """Return the ids collected since the last call."""
        if not self._touched:
            return []
        touched = list(self._touched)
        self._touched.clear()
        return touched


def _forget(outcomes: dict[int, bytes], acked: int, acked_upto: int) -> None:
    """Drop the outcomes of the sequences in (acked, acked_upto]; the client may have lied."""
    if acked_upto - acked <= len(outcomes):
        for sequence in range(acked + 1, acked_upto + 1):
            outcomes.pop(sequence, None)
        return
    for sequence in [sequence for sequence in outcomes if sequence <= acked_upto]:
        del outcomes[sequence]

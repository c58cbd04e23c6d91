"""The safety properties of the Raft paper (figure 3), watched over a whole group of nodes."""

from __future__ import annotations

from collections.abc import Sequence

from quorate.protocol.raft import Entry, Raft, Role


class Safety:
    """What was decided and who led, since the beginning; raises AssertionError on a breach."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}
        self.decided: dict[int, Entry] = {}

    def apply(self, applied: Sequence[Entry], entry: Entry) -> None:
        """See a node that has `applied` so much apply one entry more."""
        expected = applied[-1].index + 1 if applied else 1
        assert entry.index == expected, "entries are applied in order, each once"
        decided = self.decided.setdefault(entry.index, entry)
        assert decided == entry, "state machine safety: one entry per index, everywhere"

    def observe(self, node: int, raft: Raft) -> None:
        """See a node after a step."""
        if raft.role is Role.LEADER:
            other = self.leaders.setdefault(raft.term, node)
            assert other == node, "election safety: one leader a term"
            log = raft.core.log
            for index, entry in self.decided.items():
                if log.base_index < index and entry.term <= raft.term:
                    assert log.term(index) == entry.term, "leader completeness"


def logs_match(one: Raft, other: Raft) -> None:
    """Log matching: two logs that agree at an index agree at every index before it."""
    first, second = one.core.log, other.core.log
    start = max(first.base_index, second.base_index)
    agree = False
    for index in range(min(first.last_index, second.last_index), start - 1, -1):
        same = first.term(index) == second.term(index)
        if same and index > start:
            assert first.between(index, index) == second.between(index, index), "log matching"
        assert same or not agree, "log matching"
        agree = agree or same

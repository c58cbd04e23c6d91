"""What the nodes of one world have agreed on, and whether they keep to it.

The invariants are those of the Raft paper, figure 3, and what the thesis adds about changing
members. They are judged over all nodes and their disks at once, as nobody in the world could.
"""

from __future__ import annotations

from zlib import crc32

from quorate.protocol.raft import Entry, Raft
from quorate.protocol.raft.configuration import Configuration
from quorate.simulation.disks import Disk, without_majority
from quorate.simulation.evidence import Evidence
from quorate.simulation.scheduler import Scheduler


class Agreement:
    """The one history that all nodes share: terms, entries, commits, votes."""

    def __init__(self, scheduler: Scheduler, evidence: Evidence) -> None:
        self._scheduler = scheduler
        self._evidence = evidence
        self._leaders: dict[int, str] = {}
        self._votes: dict[tuple[int, int], int] = {}
        self._entries: dict[tuple[int, int], tuple[int, int]] = {}
        self._decided: dict[int, tuple[int, int]] = {}
        self._decided_in: dict[int, int] = {}
        self._disks: dict[int, Disk] = {}
        self.elections = 0
        self.last_election = 0
        self.newest = 0
        """The last index that was committed anywhere."""

    def disk(self, node: int) -> Disk:
        """Return the disk of a member."""
        return self._disks.setdefault(node, Disk())

    def fail(self, checker: str, text: str) -> None:
        """Note a violation."""
        self._evidence.violation(checker, text)

    def appended(self, name: str, entry: Entry, previous_term: int) -> None:
        """Log matching: an index and a term name one entry, with one log before it."""
        mark = (crc32(entry.data, entry.kind), previous_term)
        known = self._entries.setdefault((entry.index, entry.term), mark)
        if known != mark:
            self.fail(
                "log matching",
                f"{name} has another entry {entry.index} of term {entry.term}, "
                "or another log before it",
            )

    def committed(self, name: str, entry: Entry, term: int, *, leads: bool) -> None:
        """State machine safety: one entry per index, everywhere and for ever."""
        mark = (entry.term, crc32(entry.data, entry.kind))
        known = self._decided.get(entry.index)
        if known is None:
            self._decided[entry.index] = known = mark
            self.newest = max(self.newest, entry.index)
            if not leads:
                self.fail(
                    "state machine safety",
                    f"{name} committed entry {entry.index}, which no leader had committed",
                )
        if known != mark:
            self.fail(
                "state machine safety",
                f"{name} committed another entry {entry.index} (term {entry.term}) "
                f"than was committed before (term {known[0]})",
            )
        # The term of its own that a node commits in is at least the one it was decided in.
        self._decided_in[term] = max(self._decided_in.get(term, 0), entry.index)

    def decides(self, name: str, raft: Raft, configuration: Configuration) -> None:
        """A leader commits what disks of a majority hold, by an entry of its own term."""
        core = raft.core
        term = core.log.term(core.commit)
        if term is None:
            return
        if term != core.term:
            self.fail(
                "commitment",
                f"{name} leads term {core.term} and committed up to entry {core.commit} "
                f"of term {term} by counting",
            )
        holders = frozenset(
            node for node, disk in self._disks.items() if disk.holds(core.commit, term)
        )
        missing = without_majority(configuration, holders)
        if missing:
            self.fail(
                "commitment",
                f"{name} committed entry {core.commit} of term {term}, which {missing} "
                "had on their disks",
            )

    def voted(self, name: str, node: int, term: int, candidate: int) -> None:
        """A vote is on a disk: it is the only one of that member in that term."""
        known = self._votes.setdefault((term, node), candidate)
        if known != candidate:
            self.fail(
                "one vote a term",
                f"{name} voted for {known:x} and for {candidate:x} in term {term}",
            )

    def leads(self, name: str, raft: Raft) -> None:
        """Election safety and leader completeness, at the moment of election."""
        self.elections += 1
        self.last_election = self._scheduler.now
        core = raft.core
        other = self._leaders.setdefault(raft.term, name)
        if other != name:
            self.fail("election safety", f"{other} and {name} both lead term {raft.term}")
        voters = frozenset(
            node
            for (term, node), candidate in self._votes.items()
            if term == raft.term and candidate == core.node
        )
        missing = without_majority(core.configuration, voters)
        if missing:
            self.fail("election safety", f"{name} leads term {raft.term}, and {missing} voted so")
        log = core.log
        last = max((each for term, each in self._decided_in.items() if term < raft.term), default=0)
        if last > log.base_index:
            term = log.term(last)
            if term != self._decided[last][0]:
                self.fail(
                    "leader completeness",
                    f"{name} leads term {raft.term} without the committed entry {last}",
                )

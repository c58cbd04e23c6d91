"""What the disks of a world certainly hold, as only somebody outside can know it.

Law: a disk holds what it was told to hold and has reported; whatever else it may hold, nobody
may count on. A disk that was damaged on purpose is no longer held to anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from quorate.protocol.raft import Configuration
from quorate.protocol.raft.core import Core
from quorate.protocol.raft.messages import EntryKind
from quorate.protocol.raft.output import Persist


class Disk:
    """One member's disk, over all lives of its node: the log's end and the vote, as synced."""

    def __init__(self) -> None:
        self.last = 0
        self.vote = (0, 0)
        """The term and the vote in it (0: none yet)."""
        self._core: Core | None = None
        self._tickets: dict[int, tuple[int, tuple[int, int]]] = {}

    def recovered(self, core: Core) -> list[str]:
        """Begin a life with what was recovered; return what of the last life is missing."""
        missing = list(self._missing(core))
        self._core = core
        self._tickets = {}
        self.last, self.vote = core.log.last_index, (core.term, core.vote)
        return missing

    def _missing(self, core: Core) -> Iterator[str]:
        log, vote, before = core.log, (core.term, core.vote), self._core
        if before is not None:
            if vote[0] < self.vote[0] or (
                vote[0] == self.vote[0] and self.vote[1] not in (0, vote[1])
            ):
                yield f"term and vote {self.vote} were on its disk, {vote} came back"
            if log.last_index < self.last:
                yield f"entry {self.last} was on its disk, the log came back to {log.last_index}"
            elif not self._agrees(log.term(self.last), before.log.term(self.last)):
                yield f"entry {self.last} came back with another term"

    def belongs_to(self, core: Core) -> bool:
        """Whether this is the life that has the disk now."""
        return self._core is core

    def asked(self, core: Core, persist: Persist) -> None:
        """Take note of what the disk is asked for."""
        if persist.truncate_from:
            # What was under way to the disk no longer speaks of what is cut here.
            kept = persist.truncate_from - 1
            self.last = min(self.last, kept)
            for ticket, (last, vote) in self._tickets.items():
                self._tickets[ticket] = (min(last, kept), vote)
        if persist.snapshot is not None:
            # Its file was complete and synced before anybody spoke of it.
            self.last = max(self.last, persist.snapshot[0])
        self._tickets[persist.ticket] = (core.log.last_index, (core.term, core.vote))

    def reported(self, ticket: int) -> None:
        """The disk says that a ticket is done."""
        found = self._tickets.pop(ticket, None)
        if found is not None:
            self.last, self.vote = max(self.last, found[0]), found[1]

    def holds(self, index: int, term: int) -> bool:
        """Whether the disk certainly holds this entry, or a snapshot with it."""
        core = self._core
        if core is None or index > self.last:
            return False
        return self._agrees(core.log.term(index), term)

    @staticmethod
    def _agrees(found: int | None, term: int | None) -> bool:
        """Whether two terms of one index agree; None is one that a snapshot has swallowed."""
        return found is None or term is None or found == term


def lacking(core: Core) -> Iterator[str]:
    """Give what is wrong with the configurations in force: each is an entry of the log."""
    log = core.log
    for index, _ in core.configurations[1:]:
        if index > log.last_index:
            yield f"the configuration of entry {index} is in force, and the log ends before it"
        elif index > log.base_index:
            (entry,) = log.between(index, index)
            if entry.kind is not EntryKind.CONFIGURATION:
                yield f"the configuration of entry {index} is in force, and is not in the log"


def without_majority(configuration: Configuration, present: frozenset[int]) -> str:
    """Say which set of voters has no majority in `present`; "" when all have."""
    for name, voters in (("new", configuration.voters), ("old", configuration.outgoing)):
        if voters and 2 * sum(voter in present for voter in voters) <= len(voters):
            some = ", ".join(f"{voter:x}" for voter in voters if voter in present)
            return f"of the {name} voters only {some or 'nobody'} ({len(voters)} there are)"
    return ""

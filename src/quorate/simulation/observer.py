"""Looks over the shoulder of every node: its Raft after each step, and what it applies.

The truth is the sequence of changes as the first node to apply each entry made it; every
other node must make the same of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from quorate.kv.commands import encode_outcomes
from quorate.kv.machine import KeyValueMachine
from quorate.runtime.host import Group
from quorate.simulation.agreement import Agreement
from quorate.simulation.evidence import Change, Evidence
from quorate.simulation.scheduler import Scheduler
from quorate.simulation.watched import Watched


class Observer:
    """What all nodes of a world have in common, and whether they keep it so."""

    def __init__(self, scheduler: Scheduler, evidence: Evidence) -> None:
        self._scheduler = scheduler
        self.evidence = evidence
        self.agreement = Agreement(scheduler, evidence)
        self._chains: dict[int, tuple[str, int]] = {0: ("", 0)}
        self._revision = 1
        self.machines: dict[str, KeyValueMachine] = {}

    def attach(self, name: str, group: Group, machine: KeyValueMachine, *, damaged: bool) -> None:
        """Observe a node from its first step on. `damaged`: its disk need not be whole."""
        watched = Watched(self.agreement, name, group, damaged=damaged)
        group.raft.step = watched.step  # type: ignore[method-assign]  # the simulator looks in
        replica = group.machine
        apply = replica.apply
        self.machines[name] = machine

        def applied(index: int, data: bytes) -> Sequence[Any]:
            before = machine.revision
            outcomes = apply(index, data)
            self._applied(name, index, machine, before, outcomes)
            return outcomes

        replica.apply = applied  # type: ignore[method-assign]  # the simulator looks in

    def fail(self, checker: str, text: str) -> None:
        """Note a violation."""
        self.evidence.violation(checker, text)

    def _applied(
        self,
        name: str,
        index: int,
        machine: KeyValueMachine,
        before: int,
        outcomes: Sequence[Any],
    ) -> None:
        changes = machine.history.changes(before + 1, 1 << 30) if machine.revision > before else []
        told = b"".join(encode_outcomes(each) for each in outcomes)
        mark = crc32(told, machine.revision)
        for kv in changes:
            mark = crc32(kv.key, crc32(kv.value, mark ^ kv.mod_revision))
        known = self._chains.get(index)
        if known is None:
            self._chains[index] = (name, mark)
            if machine.revision > self._revision:
                self._revision = machine.revision
                now = self._scheduler.now
                self.evidence.changes.extend(Change(kv.mod_revision, now, kv) for kv in changes)
        elif known[1] != mark:
            self.fail(
                "replicas agree",
                f"{name} made something else of entry {index} than {known[0]} did",
            )

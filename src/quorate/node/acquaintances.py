"""Whom a node knows beyond the members that its log has told it of.

A node that joins, or that was away for long, does not have today's members in its log yet;
one of them may lead, and has to be answered. So a peer of the same cluster that introduces
itself is linked to, until the log says who it is. Who was a member and is none any more stays
away. Law: whose addition was taken back has not left: it may be a member by another leader's
log, and lead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from quorate.errors import ConfigurationError
from quorate.protocol.raft import Member
from quorate.runtime.transport.address import split_address

REMEMBERED_MAX: Final = 64


class Acquaintances:
    """The members, those who introduced themselves, and those who left."""

    def __init__(self, node: int, contacts: Iterable[Member]) -> None:
        self._node = node
        self._members: dict[int, str] = {}
        self._introduced = {member.id: member.address for member in contacts}
        self._departed: dict[int, None] = {}
        self._index = 0

    @property
    def addresses(self) -> dict[int, str]:
        """Where to reach everybody who may have to be answered."""
        return {**self._introduced, **self._members}

    def is_welcome(self, node: int) -> bool:
        """Whether a peer of this id may connect: all but those who left."""
        return node not in self._departed

    def update(self, members: Iterable[Member], index: int) -> None:
        """Take over what the log says now, by its entry `index`."""
        current = {member.id: member.address for member in members}
        taken_back = index < self._index
        self._index = index
        for node, address in self._members.items():
            if node in current:
                continue
            if taken_back:
                self._introduced[node] = address
            else:
                self._departed[node] = None
                self._introduced.pop(node, None)
        for node in current:
            # A change that was taken back brings its member back.
            self._departed.pop(node, None)
            self._introduced.pop(node, None)
        while len(self._departed) > REMEMBERED_MAX:
            del self._departed[next(iter(self._departed))]
        self._members = current

    def introduce(self, node: int, address: str) -> bool:
        """Note where a peer says it is; tell whether it was unknown until now."""
        known = self.addresses
        if node == self._node or node in known or len(self._introduced) >= REMEMBERED_MAX:
            return False
        try:
            split_address(address)
        except ConfigurationError:
            return False
        self._introduced[node] = address
        return True

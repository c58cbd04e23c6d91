"""Who belongs to a group: the value, and the algebra of changing it.

A change of voters always passes through a joint configuration, in which elections and
commits need a majority of the old voters and of the new ones (thesis 4.3); one node is no
special case. Learners and addresses change in one step, since no quorum depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from quorate.errors import MembershipRefused


class Member(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One node: its id (nonzero, below 2**63, never reused), name and "host:port"."""

    id: int
    name: str
    address: str


class Configuration(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The members, sorted by id, and their parts.

    `outgoing` holds the old voters while a change is under way, else it is empty.
    """

    members: tuple[Member, ...] = ()
    voters: tuple[int, ...] = ()
    outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()

    @property
    def joint(self) -> bool:
        """Whether a change of voters is under way."""
        return bool(self.outgoing)

    @property
    def quorums(self) -> tuple[tuple[int, ...], ...]:
        """The sets of voters that each need a majority."""
        return (self.voters, self.outgoing) if self.outgoing else (self.voters,)

    def votes(self, node: int) -> bool:
        """Tell whether a node votes, in the old set or the new."""
        return node in self.voters or node in self.outgoing

    def member(self, node: int) -> Member | None:
        """Return a member by id."""
        return next((member for member in self.members if member.id == node), None)

    @property
    def identifiers(self) -> tuple[int, ...]:
        """Every member's id, in order."""
        return tuple(member.id for member in self.members)


class AddLearner(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """A new member that receives the log and does not vote."""

    member: Member


class Promote(msgspec.Struct, array_like=True, frozen=True, tag=2):
    """A learner becomes a voter."""

    id: int


class Remove(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """A member leaves for good."""

    id: int


class UpdateAddress(msgspec.Struct, array_like=True, frozen=True, tag=4):
    """A member moves; its part stays."""

    id: int
    address: str


Change: TypeAlias = AddLearner | Promote | Remove | UpdateAddress

encode_configuration = msgspec.msgpack.Encoder().encode
decode_configuration = msgspec.msgpack.Decoder(Configuration).decode


def bootstrap(members: Iterable[Member]) -> Configuration:
    """Return the configuration of a new group in which everybody votes."""
    ordered = tuple(sorted(members, key=lambda member: member.id))
    return Configuration(members=ordered, voters=tuple(member.id for member in ordered))


def apply_change(current: Configuration, change: Change) -> Configuration:
    """Return the configuration to append for a change; raises MembershipRefused.

    A change of voters gives a joint configuration; `leave_joint` ends it.
    """
    if current.joint:
        raise MembershipRefused("a change of members is under way: try again when it is done")
    if isinstance(change, AddLearner):
        return _add_learner(current, change.member)
    if current.member(change.id) is None:
        raise MembershipRefused(f"no member has the id {change.id:x}: see `quorate member list`")
    if isinstance(change, Promote):
        if change.id not in current.learners:
            raise MembershipRefused(f"member {change.id:x} votes already")
        return _with_voters(current, (*current.voters, change.id))
    if isinstance(change, Remove):
        return _remove(current, change.id)
    return _update_address(current, change)


def leave_joint(current: Configuration) -> Configuration:
    """Return the configuration that ends a joint one: departed members are dropped."""
    stay = frozenset(current.voters) | frozenset(current.learners)
    members = tuple(member for member in current.members if member.id in stay)
    return Configuration(members=members, voters=current.voters, learners=current.learners)


def _add_learner(current: Configuration, member: Member) -> Configuration:
    for other in current.members:
        if member.id == other.id:
            raise MembershipRefused(f"the id {member.id:x} belongs to {other.name} already")
        if member.name == other.name or member.address == other.address:
            raise MembershipRefused(
                f"name and address must be new, {other.name} has {other.address}: "
                "remove it first, or choose others"
            )
    members = tuple(sorted((*current.members, member), key=lambda each: each.id))
    learners = tuple(sorted((*current.learners, member.id)))
    return Configuration(members=members, voters=current.voters, learners=learners)


def _with_voters(current: Configuration, voters: tuple[int, ...]) -> Configuration:
    return Configuration(
        members=current.members,
        voters=tuple(sorted(voters)),
        outgoing=current.voters,
        learners=tuple(node for node in current.learners if node not in voters),
    )


def _remove(current: Configuration, node: int) -> Configuration:
    if node in current.learners:
        return Configuration(
            members=tuple(member for member in current.members if member.id != node),
            voters=current.voters,
            learners=tuple(learner for learner in current.learners if learner != node),
        )
    rest = tuple(voter for voter in current.voters if voter != node)
    if not rest:
        raise MembershipRefused("the last voter can't be removed: stop the node instead")
    return _with_voters(current, rest)


def _update_address(current: Configuration, change: UpdateAddress) -> Configuration:
    if any(member.address == change.address for member in current.members):
        raise MembershipRefused(f"the address {change.address} is taken by a member")
    members = tuple(
        Member(member.id, member.name, change.address) if member.id == change.id else member
        for member in current.members
    )
    return Configuration(members=members, voters=current.voters, learners=current.learners)

"""Majority arithmetic: votes and indexes, for one set of voters or for two at once.

It knows nothing of nodes, logs or messages. Joint consensus (Raft thesis 4.3) asks both
sets; everything here takes them as a sequence of sets, empty ones left out.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence

Voters = Sequence[Sequence[int]]


class VoteResult(enum.Enum):
    """What the votes so far amount to."""

    PENDING = enum.auto()
    WON = enum.auto()
    LOST = enum.auto()


def quorum_size(count: int) -> int:
    """Return how many of `count` voters are a majority."""
    return count // 2 + 1


def agreed_index(voters: Voters, index_of: Callable[[int], int]) -> int:
    """Return the highest index that a majority of every set has reached (0: no voters)."""
    agreed = -1
    for group in voters:
        if not group:
            continue
        reached = sorted((index_of(voter) for voter in group), reverse=True)
        index = reached[quorum_size(len(group)) - 1]
        agreed = index if agreed < 0 else min(agreed, index)
    return max(agreed, 0)


def has_quorum(voters: Voters, members: Iterable[int]) -> bool:
    """Tell whether `members` hold a majority of every set."""
    present = frozenset(members)
    return all(
        sum(voter in present for voter in group) >= quorum_size(len(group))
        for group in voters
        if group
    )


def vote_result(voters: Voters, votes: Mapping[int, bool]) -> VoteResult:
    """Count votes: lost as soon as one set can no longer reach a majority."""
    outcome = VoteResult.WON
    for group in voters:
        if not group:
            continue
        needed = quorum_size(len(group))
        granted = sum(votes.get(voter) is True for voter in group)
        refused = sum(votes.get(voter) is False for voter in group)
        if refused > len(group) - needed:
            return VoteResult.LOST
        if granted < needed:
            outcome = VoteResult.PENDING
    return outcome

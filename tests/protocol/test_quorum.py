"""Majorities of one set and of two."""

from __future__ import annotations

import pytest

from quorate.protocol.quorum import (
    VoteResult,
    agreed_index,
    has_quorum,
    quorum_size,
    vote_result,
)


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_more_than_half(count: int, size: int) -> None:
    assert quorum_size(count) == size


def test_the_agreed_index_is_what_a_majority_of_every_set_has_reached() -> None:
    reached = {1: 9, 2: 7, 3: 5, 4: 1}
    assert agreed_index([(1, 2, 3)], reached.__getitem__) == 7
    assert agreed_index([(1, 2, 3), (2, 3, 4)], reached.__getitem__) == 5


def test_an_empty_set_is_left_out_and_without_voters_nothing_is_agreed() -> None:
    assert agreed_index([(), (1,)], {1: 4}.__getitem__) == 4
    assert agreed_index([()], {1: 4}.__getitem__) == 0
    assert has_quorum([(), (1,)], [1])
    assert vote_result([(), (1,)], {1: True}) is VoteResult.WON


def test_votes_are_won_in_every_set_and_lost_in_one() -> None:
    joint = [(1, 2, 3), (3, 4, 5)]
    assert vote_result(joint, {1: True, 2: True}) is VoteResult.PENDING
    assert vote_result(joint, {1: True, 2: True, 4: True, 5: True}) is VoteResult.WON
    assert vote_result(joint, {1: True, 2: True, 4: False, 5: False}) is VoteResult.LOST

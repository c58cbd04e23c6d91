"""The algebra of members, and the numbers of a group."""

from __future__ import annotations

import pytest
from tests.protocol.raft.network import member

from quorate.errors import ConfigurationError, MembershipRefused
from quorate.protocol.raft import Configuration, Member, RaftConfig, bootstrap
from quorate.protocol.raft.configuration import (
    AddLearner,
    Change,
    Promote,
    Remove,
    UpdateAddress,
    apply_change,
    leave_joint,
)

THREE = bootstrap([member(3), member(1), member(2)])
LEARNING = apply_change(THREE, AddLearner(member(4)))


def test_a_new_group_has_only_voters_in_order() -> None:
    assert THREE.identifiers == THREE.voters == (1, 2, 3)
    assert not THREE.joint


def test_a_change_of_voters_is_joint_until_it_is_left() -> None:
    joint = apply_change(LEARNING, Promote(4))
    assert joint.quorums == ((1, 2, 3, 4), (1, 2, 3))
    assert joint.learners == ()
    assert leave_joint(joint).quorums == ((1, 2, 3, 4),)


def test_a_voter_that_leaves_is_a_member_until_the_change_is_done() -> None:
    joint = apply_change(THREE, Remove(2))
    assert joint.votes(2)
    assert leave_joint(joint).member(2) is None


def test_learners_and_addresses_change_in_one_step() -> None:
    assert apply_change(LEARNING, Remove(4)) == THREE
    moved = apply_change(LEARNING, UpdateAddress(4, "127.0.0.1:9"))
    assert moved.member(4) == Member(4, "n4", "127.0.0.1:9")
    assert moved.quorums == LEARNING.quorums


@pytest.mark.parametrize(
    ("current", "change", "message"),
    [
        (apply_change(THREE, Remove(1)), Remove(2), "under way"),
        (THREE, AddLearner(Member(1, "new", "127.0.0.1:9")), "belongs to n1 already"),
        (THREE, AddLearner(Member(9, "n1", "127.0.0.1:9")), "must be new"),
        (THREE, AddLearner(Member(9, "new", "127.0.0.1:7001")), "must be new"),
        (THREE, Promote(1), "votes already"),
        (THREE, Promote(9), "no member has the id 9"),
        (THREE, UpdateAddress(1, "127.0.0.1:7002"), "is taken"),
        (bootstrap([member(1)]), Remove(1), "last voter"),
    ],
)
def test_an_unsafe_change_is_refused(current: Configuration, change: Change, message: str) -> None:
    with pytest.raises(MembershipRefused, match=message):
        apply_change(current, change)


@pytest.mark.parametrize(
    "numbers",
    [
        {"heartbeat_ns": 0},
        {"heartbeat_ns": 100, "election_ns": 299},
        {"append_bytes_max": 0},
        {"window_messages": 0},
        {"window_bytes": 0},
        {"uncommitted_bytes_max": 0},
        {"chunk_bytes": 0},
    ],
)
def test_numbers_that_cannot_work_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        RaftConfig(**numbers)

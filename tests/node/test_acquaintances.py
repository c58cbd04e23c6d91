"""Whom a node links to and lets in, beyond the members of its own log."""

from __future__ import annotations

from quorate.node.acquaintances import Acquaintances
from quorate.protocol.raft import Member

ONE, TWO, THREE = (Member(node, f"n{node}", f"n{node}:7400") for node in (1, 2, 3))


def test_a_member_that_was_removed_stays_away() -> None:
    known = Acquaintances(1, ())
    known.update((ONE, TWO, THREE), 1)
    known.update((ONE, TWO), 9)
    assert not known.is_welcome(3)
    assert 3 not in known.addresses


def test_a_removal_that_was_taken_back_brings_its_member_back() -> None:
    known = Acquaintances(1, ())
    known.update((ONE, TWO, THREE), 1)
    known.update((ONE, TWO), 9)
    known.update((ONE, TWO, THREE), 1)
    assert known.is_welcome(3)
    assert known.addresses[3] == "n3:7400"


def test_a_member_whose_addition_was_taken_back_may_still_lead_and_is_answered() -> None:
    known = Acquaintances(1, ())
    known.update((ONE, TWO), 1)
    known.update((ONE, TWO, THREE), 9)
    known.update((ONE, TWO), 1)
    assert known.is_welcome(3)
    assert known.addresses[3] == "n3:7400"


def test_a_peer_that_introduces_itself_is_linked_to_until_the_log_says_who_it_is() -> None:
    known = Acquaintances(1, ())
    known.update((ONE, TWO), 1)
    assert known.introduce(3, "elsewhere:7400")
    assert known.addresses[3] == "elsewhere:7400"
    known.update((ONE, TWO, THREE), 9)
    assert known.addresses[3] == "n3:7400"
    known.update((ONE, TWO), 12)
    assert not known.is_welcome(3)


def test_what_is_no_address_is_not_remembered() -> None:
    known = Acquaintances(1, ())
    assert not known.introduce(3, "nowhere")
    assert known.addresses == {}

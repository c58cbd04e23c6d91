"""The same requests to a real etcd and to a node of ours have the same answers, refusals too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .requests import Asked, requests
from .servers import Asking

pytestmark = pytest.mark.system
LENGTH: Final = 50
EXAMPLES: Final = 250
COMPARED_MIN: Final = 10_000
"""Some sequences end early, where a refusal is known to differ."""
LONG_EXAMPLES: Final = 2_500
WRITTEN_TWICE: Final = "both puts and deletes"
"""The one refusal that etcd lacks: see `LEFT_OUT`."""
QUIETLY: Final = settings(
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
"""Without shrinking: a server asked again has other revisions, and minutes go by."""
sequences = st.lists(requests(), min_size=LENGTH, max_size=LENGTH)


@pytest.fixture(scope="module")
def pair(etcd: str, single: str) -> Iterator[tuple[Asking, Asking]]:
    theirs, ours = Asking(etcd), Asking(single)
    yield theirs, ours
    theirs.close()
    ours.close()


def compare(pair: tuple[Asking, Asking], sequence: list[Asked]) -> int:
    """Return how many requests were compared."""
    theirs, ours = pair
    theirs.empty()
    ours.empty()
    for place, (rpc, message) in enumerate(sequence):
        answer = ours.compared(rpc, message)
        expected = theirs.compared(rpc, message)
        if isinstance(answer, tuple) and WRITTEN_TWICE in (answer[1] or ""):
            return place
        assert answer == expected, f"request {place} of {len(sequence)}, {rpc.path}: {message}"
    return len(sequence)


def test_a_node_answers_as_etcd_does(pair: tuple[Asking, Asking]) -> None:
    compared = 0

    @settings(QUIETLY, max_examples=EXAMPLES, derandomize=True)
    @given(sequence=sequences)
    def answers_agree(sequence: list[Asked]) -> None:
        nonlocal compared
        compared += compare(pair, sequence)

    answers_agree()
    assert compared >= COMPARED_MIN


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(QUIETLY, max_examples=LONG_EXAMPLES)
@given(sequence=sequences)
def test_a_node_answers_as_etcd_does_for_long(
    pair: tuple[Asking, Asking], sequence: list[Asked]
) -> None:
    compare(pair, sequence)

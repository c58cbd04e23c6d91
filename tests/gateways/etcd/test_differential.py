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
EXAMPLES: Final = 200
LONG_EXAMPLES: Final = 2_500
WRITTEN_TWICE: Final = "both puts and deletes"
"""The one refusal that etcd lacks: see `LEFT_OUT`."""
PHASES: Final = (Phase.explicit, Phase.generate)
"""Without shrinking: a server asked again has other revisions, and minutes go by."""
sequences = st.lists(requests(), min_size=LENGTH, max_size=LENGTH)


@pytest.fixture(scope="module")
def pair(etcd: str, single: str) -> Iterator[tuple[Asking, Asking]]:
    theirs, ours = Asking(etcd), Asking(single)
    yield theirs, ours
    theirs.close()
    ours.close()


def compare(pair: tuple[Asking, Asking], sequence: list[Asked]) -> None:
    theirs, ours = pair
    theirs.empty()
    ours.empty()
    for place, (rpc, message) in enumerate(sequence):
        answer = ours.compared(rpc, message)
        expected = theirs.compared(rpc, message)
        if isinstance(answer, tuple) and WRITTEN_TWICE in (answer[1] or ""):
            return
        assert answer == expected, f"request {place} of {len(sequence)}, {rpc.path}: {message}"


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
@given(sequence=sequences)
def test_a_node_answers_as_etcd_does(pair: tuple[Asking, Asking], sequence: list[Asked]) -> None:
    compare(pair, sequence)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(
    max_examples=LONG_EXAMPLES,
    deadline=None,
    database=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
@given(sequence=sequences)
def test_a_node_answers_as_etcd_does_for_long(
    pair: tuple[Asking, Asking], sequence: list[Asked]
) -> None:
    compare(pair, sequence)

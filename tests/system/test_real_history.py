"""The short form of the soak: real faults, and the simulator's checkers on the history."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.system.soak import soak

pytestmark = pytest.mark.system


def test_real_nodes_keep_what_the_simulated_ones_promise(tmp_path: Path) -> None:
    found, run = soak(tmp_path, 15, 1)
    assert not found
    assert run.evidence.operations
    assert run.evidence.holds
    assert run.faults


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_real_nodes_keep_it_for_ten_minutes(tmp_path: Path) -> None:
    found, _ = soak(tmp_path, 600, 2)
    assert not found

"""The story of the holder that slept: without a fence it does harm, with one it does not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "examples" / "fencing.py"


@pytest.mark.system
def test_only_a_fenced_write_survives_a_holder_that_wakes_up_too_late() -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told = re.sub(r"\d+ is below \d+", "M is below N", re.sub(r"token \d+", "token N", done.stdout))
    assert told.splitlines() == [
        "plain writes, the account holds 100:",
        "  A (token N) holds the lock, and falls asleep",
        "  B (token N) wrote 105",
        "  A (token N) wrote 110",
        "  the account holds 110: B's 5 are lost",
        "fenced writes, the account holds 100:",
        "  A (token N) holds the lock, and falls asleep",
        "  B (token N) wrote 105",
        "  A is refused: StaleToken: M is below N",
        "  the account holds 105: right: A knows that it has to start again",
    ]

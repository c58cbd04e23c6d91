"""The program of the documentation does the same with every URL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
PROGRAM = Path(__file__).parents[2] / "examples" / "three_rungs.py"


def test_only_the_url_changes(url: str) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), url], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "10 tickets sold, 0 left\n"

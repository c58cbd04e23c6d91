"""Every scenario does what its text says it does.

`pytest tests/scenarios --rewrite` records the outputs anew: read the difference before you
keep it, since a recorded output is a claim about Raft.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.scenarios.interpreter import VERBS, run
from tests.scenarios.verbs import ScenarioError

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_runs_as_recorded(path: Path, request: pytest.FixtureRequest) -> None:
    recorded = path.read_text()
    found = run(recorded)
    if request.config.getoption("--rewrite", default=False):
        # Other workers read the file meanwhile: it changes all at once.
        fresh = path.with_suffix(".new")
        fresh.write_text(found)
        fresh.replace(path)
        return
    assert found == recorded


def test_every_verb_is_used() -> None:
    used = {
        word
        for path in FILES
        for line in path.read_text().splitlines()
        for word in line.removeprefix("quietly ").split()[:1]
    }
    assert used >= set(VERBS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_says_what_it_shows_and_whence(path: Path) -> None:
    opening = path.read_text().partition("\n\n")[0].splitlines()
    assert all(line.startswith("#") for line in opening)
    assert opening[-1].startswith("# Source: ")


def test_a_claim_that_is_not_so_is_never_recorded() -> None:
    with pytest.raises(ScenarioError, match=r"line 2.*has role 'follower', not 'leader'"):
        run("nodes 3\nexpect 1 role leader\n")


def test_an_unknown_verb_is_refused() -> None:
    with pytest.raises(ScenarioError, match="line 1: unknown verb"):
        run("vote 1\n")

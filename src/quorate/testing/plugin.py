"""The pytest fixture: `pytest_plugins = ["quorate.testing.plugin"]` in a `conftest.py`.

    def test_the_counter(quorate_simulation):
        quorate_simulation(count, count)

`--quorate-seeds 0-999` runs more seeds than a test asks for, say by night; `--quorate-seeds 42`
repeats the one that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from quorate.testing import ALL, FaultKind, Result, Service, simulate

DEFAULT_SEEDS: Final = "0-9"


class Simulation:
    """Runs services against a simulated cluster, once for each seed of the test run."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds: Sequence[int] = seeds

    def __call__(
        self,
        *services: Service,
        nodes: int = 3,
        seconds: float = 30.0,
        faults: tuple[FaultKind, ...] = ALL,
    ) -> list[Result]:
        """Run them and return what came of each seed.

        Raises SimulationFailed, which fails the test and names the seed.
        """
        return simulate(*services, seeds=self.seeds, nodes=nodes, seconds=seconds, faults=faults)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--quorate-seeds`."""
    parser.getgroup("quorate").addoption(
        "--quorate-seeds",
        default=DEFAULT_SEEDS,
        metavar="A-B",
        help=f"seeds that quorate_simulation runs: one, or first-last (default {DEFAULT_SEEDS})",
    )


@pytest.fixture
def quorate_simulation(pytestconfig: pytest.Config) -> Simulation:
    """A simulated cluster for services of one's own, with faults, from a seed that repeats."""
    text = str(pytestconfig.getoption("--quorate-seeds"))
    first, _, last = text.partition("-")
    try:
        return Simulation(range(int(first), int(last or first) + 1))
    except ValueError:
        raise pytest.UsageError(
            f"--quorate-seeds {text}: give a number, or two as in {DEFAULT_SEEDS}"
        ) from None

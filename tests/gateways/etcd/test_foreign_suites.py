"""Test suites that other projects wrote for etcd, unmodified, against a cluster of ours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.cli.processes import LocalCluster

from .suites import SUITES, fetch, judge

pytestmark = [pytest.mark.soak, pytest.mark.system, pytest.mark.timeout(1800)]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A fresh cluster of three nodes."""
    cluster = LocalCluster(tmp_path / "cluster", 3, 0, 0)
    cluster.start()
    try:
        asyncio.run(cluster.ready())
        yield cluster.nodes[0].etcd
    finally:
        cluster.stop()


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_passes_but_for_what_is_named(name: str, address: str, tmp_path: Path) -> None:
    suite = SUITES[name]
    home = tmp_path / "suite"
    home.mkdir()
    said = judge(suite, home, fetch(suite, home), address)
    failed = set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", said, re.MULTILINE))
    assert failed <= set(suite.exclusions), said
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None, said
    assert int(passed[1]) >= suite.passes, said

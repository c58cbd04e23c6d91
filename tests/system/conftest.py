"""Real clusters of real processes, on free ports of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.cli.processes import LocalCluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """Three nodes with a leader; whatever lives at the end is killed."""
    started = LocalCluster(tmp_path / "cluster", 3, 0)
    started.start()
    try:
        asyncio.run(started.ready())
        yield started
    finally:
        for node in started.nodes:
            node.kill()

"""The code in the documents runs as it stands, against a real cluster."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.cli.processes import LocalCluster

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "docs/tutorial.md"]
SNIPPETS = [
    pytest.param(code, id=f"{name}-{number}")
    for name in DOCUMENTS
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    )
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    started = LocalCluster(tmp_path_factory.mktemp("cluster"), 3, 0)
    started.start()
    try:
        asyncio.run(started.ready())
        yield started
    finally:
        for node in started.nodes:
            node.kill()


@pytest.mark.system
@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_runs(cluster: LocalCluster, code: str, tmp_path: Path) -> None:
    script = tmp_path / "snippet.py"
    script.write_text(code)
    environment = {**os.environ, "QUORATE_URL": cluster.url}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr

"""The code in the documents runs as it stands, against a real cluster."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.cli.processes import LocalCluster, free_ports

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md",
    "docs/tutorial.md",
    "docs/how-to/simulate.md",
    "docs/how-to/engines.md",
    "docs/how-to/fencing.md",
    "docs/reference/recipes.md",
]
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


@pytest.mark.system
def test_the_way_from_a_backup_to_a_recovered_cluster_runs(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    page = (ROOT / "docs/how-to/backup-and-recovery.md").read_text()
    script = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    for port in free_ports(4):
        # Each address of the page becomes a free one, everywhere alike.
        script = script.replace(
            f"127.0.0.1:{min(re.findall(r'127.0.0.1:(75..)', script))}", f"127.0.0.1:{port}"
        )
    with quorate.Client(cluster.url) as client:
        client.kv.put("greeting", "hello")
    path = Path(sys.executable).parent
    output = tmp_path / "output"
    with output.open("wb") as written:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            env={**os.environ, "QUORATE_URL": cluster.url, "PATH": f"{path}:{os.environ['PATH']}"},
            cwd=tmp_path,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
        try:
            code = shell.wait(100)
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    shown = output.read_text()
    assert code == 0, shown
    assert shown.count("hello\n") == 2
    assert "before-recovery-1" in shown
    assert (tmp_path / "data/c/before-recovery-1/wal").is_dir()

"""The wheel, built and installed in a clean environment, serves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import quorate
with quorate.Client({url!r}) as client:
    with client.lock("smoke") as held:
        client.kv.put("token", str(held.token))
    assert client.kv.get("token").value == str(held.token).encode()
"""


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=300)


@pytest.mark.system
@pytest.mark.timeout(400)
def test_the_wheel_serves(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(ROOT))
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    python = str(environment / "bin" / "python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", str(wheel))
    command = [str(environment / "bin" / "quorate"), "dev", "--port", "0", "--json"]
    with subprocess.Popen(
        [*command, "--data-dir", str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
    ) as dev:
        try:
            assert dev.stdout is not None
            url = json.loads(dev.stdout.readline())["url"]
            run(python, "-c", PROGRAM.format(url=url))
        finally:
            dev.terminate()
            assert dev.wait(30) == 0

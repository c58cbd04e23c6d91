"""`quorate barrier` and `quorate registry`, on a store in a directory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import quorate

from .commands import here, quorate_command

pytestmark = pytest.mark.system


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file:{tmp_path}/store"


def test_whoever_waits_at_a_barrier_goes_on_when_it_is_lifted(url: str) -> None:
    with quorate.Client(url) as client:
        done = quorate_command("barrier", "wait", "deploy", "--url", url, "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, {"name": "deploy", "up": False})
        assert quorate_command("barrier", "raise", "deploy", "--url", url).returncode == 0
        assert client.kv.get("deploy/barrier") is not None
        late = quorate_command("barrier", "wait", "deploy", "--timeout", "0.2", "--url", url)
        assert late.returncode == 3
        assert "not lifted within 0.2 s" in late.stderr
        waiting = [sys.executable, "-m", "quorate", "barrier", "wait", "deploy", "--url", url]
        with subprocess.Popen(waiting) as process:
            lifted = quorate_command("barrier", "lift", "deploy", "--url", url, "--json")
            assert json.loads(lifted.stdout) == {"name": "deploy", "up": False}
            assert process.wait(30) == 0


def test_a_command_is_registered_while_it_runs(url: str) -> None:
    code = "import os; print(os.environ['QUORATE_SERVICE'], os.environ['QUORATE_INSTANCE'])"
    code += "; print(flush=True); input()"
    line = [sys.executable, "-m", "quorate", "registry", "register", "api", "[::1]:80"]
    line += ["--metadata", "zone=a=b", "--metadata", "empty=", "--weight", "2", "--url", url]
    with (
        quorate.Client(url) as client,
        client.registry("api").view() as view,
        subprocess.Popen(
            [*line, "--", sys.executable, "-c", code + "; raise SystemExit(7)"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        view.wait()
        (instance,) = view.instances
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["api", instance.id]
        document = {
            "id": instance.id,
            "address": "[::1]:80",
            "metadata": {"zone": "a=b", "empty": ""},
            "weight": 2,
        }
        listed = quorate_command("registry", "list", "api", "--url", url, "--json")
        assert json.loads(listed.stdout) == document
        shown = quorate_command("registry", "list", "api", "--url", url).stdout.split()
        assert shown == [instance.id, "[::1]:80", "weight", "2", "empty=", "zone=a=b"]
        process.communicate("\n", timeout=30)
        assert process.returncode == 7
        assert client.registry("api").instances() == []


def test_a_command_that_is_registered_is_told_to_end(url: str) -> None:
    sleeper = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); "
    sleeper += "print('up', flush=True); signal.pause()"
    line = [sys.executable, "-m", "quorate", "registry", "register", "api", "h:1", "--url", url]
    with (
        quorate.Client(url) as client,
        subprocess.Popen(
            [*line, "--", sys.executable, "-c", sleeper], stdout=subprocess.PIPE
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 5
        assert client.registry("api").instances() == []


def test_watching_tells_one_line_for_each_change(url: str) -> None:
    line = [sys.executable, "-m", "quorate", "registry", "watch", "api", "--url", url]
    with (
        quorate.Client(url) as client,
        subprocess.Popen([*line, "--json"], stdout=subprocess.PIPE, text=True) as watching,
    ):
        assert watching.stdout is not None
        with client.registry("api").register("h:1") as own:
            joined = json.loads(watching.stdout.readline())
            assert (joined["kind"], joined["id"]) == ("joined", own.id)
            with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as plain:
                assert plain.stdout is not None
                shown = plain.stdout.readline().split()
                assert shown == ["joined", own.id, "h:1", "weight", "1"]
                plain.kill()
            own.update(weight=4)
            changed = json.loads(watching.stdout.readline())
            assert (changed["kind"], changed["weight"]) == ("changed", 4)
        left = json.loads(watching.stdout.readline())
        assert left == {**changed, "kind": "left"}
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130


def test_what_makes_no_sense_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("api", "h:1"), ("api", "h:1", "--metadata", "zone", "--", "true")):
        with pytest.raises(SystemExit) as exit_:
            here(capsys, "registry", "register", *arguments)
        assert exit_.value.code == 2
    options = ("--url", "memory:", "--", "true")
    done = here(capsys, "registry", "register", "api", "nowhere", *options)
    assert (done.code, "host:port" in done.error) == (2, True)
    missing = here(
        capsys, "registry", "register", "api", "h:1", "--url", "memory:", "--", "./nothing"
    )
    assert (missing.code, "can't be run" in missing.error) == (127, True)

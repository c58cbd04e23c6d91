"""The scripts are what the shells understand, and complete what the parsers know."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from quorate.cli.commands import COMMANDS
from quorate.cli.completion import SHELLS

from .commands import here

COMPLETE = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(( $# - 1 ))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
function_of_quorate=$(complete -p quorate | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function_of_quorate" quorate "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    done = here(capsys, "completion", shell)
    assert done.code == 0, done.error
    path = directory / f"quorate.{shell}"
    path.write_text(done.out)
    return path


def complete(path: Path, *words: str) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", str(path), "quorate", *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=path.parent,
    )
    assert not done.stderr
    return sorted(done.stdout.split())


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_read_its_script(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script(shell, tmp_path, capsys)
    for command in COMMANDS:
        assert command in path.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    subprocess.run([shell, "-n", str(path)], check=True)


def test_bash_completes_commands_options_and_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script("bash", tmp_path, capsys)
    assert complete(path, "") == sorted(COMMANDS)
    assert complete(path, "sna") == ["snapshot"]
    assert complete(path, "s") == ["semaphore", "serve", "simulate", "snapshot", "status"]
    assert complete(path, "snapshot", "") == ["restore", "save", "status"]
    assert complete(path, "dev", "sto") == ["stop"]
    assert complete(path, "lock", "--ti") == ["--timeout"]
    assert complete(path, "kv", "get", "--tls-c") == ["--tls-certificate"]
    assert complete(path, "recover", "--force") == ["--force-new-cluster"]
    assert complete(path, "completion", "") == ["bash", "fish", "zsh"]
    (tmp_path / "store.snap").touch()
    (tmp_path / "stored").mkdir()
    assert complete(path, "snapshot", "status", "sto") == ["store.snap", "stored"]
    assert complete(path, "recover", "--data-dir", "sto") == ["stored"]


def test_what_is_hidden_stays_hidden(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shell in SHELLS:
        text = script(shell, tmp_path, capsys).read_text()
        assert "--parent" not in text
        assert "--worker" not in text.split()


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        here(capsys, "completion", "tcsh")
    assert exit_.value.code == 2

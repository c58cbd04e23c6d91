"""Make a new cluster of one node from a node's data, after most nodes were lost for good.

Stop the node first. Without --force-new-cluster nothing is changed: the command tells what
the node has and what would be lost. Run it so on every node that is left, and choose the one
with the highest term, then the highest index. With --force-new-cluster that node becomes the
only member of a new cluster. Its state is every entry of its log, also those that it did not
know as committed, with revisions raised by 1,000,000,000 so that fencing tokens keep rising.
Its old data is kept in DIR/before-recovery-N.
"""

from __future__ import annotations

import argparse
import json
from typing import Final

import msgspec

from quorate.cli.options import add_json, new_parser
from quorate.errors import ConfigurationError
from quorate.node import data_directory
from quorate.node.config import split_address
from quorate.node.identity import Identity
from quorate.node.recovering import begin_new_cluster, check_name
from quorate.node.salvage import Salvaged, salvage
from quorate.runtime.world import RealFiles, RealRandomness

WARNING: Final = """\
Writes that the lost nodes acknowledged and that are not in this log are lost: look at every
node that is left, and choose the one with the highest term, then the highest index.
The other old members do not fit the new cluster: delete their data and add them anew
(quorate member add, quorate serve --join, quorate member promote)."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = new_parser(
        "recover",
        __doc__ or "",
        example="quorate recover --data-dir /var/lib/quorate --name a --address 10.0.0.1:7400\n"
        "quorate recover --data-dir /var/lib/quorate --name a --address 10.0.0.1:7400 \\\n"
        "    --force-new-cluster",
    )
    parser.add_argument("--data-dir", required=True, metavar="DIR", help="of the stopped node")
    parser.add_argument("--name", required=True, help="the node's name")
    parser.add_argument(
        "--address", required=True, metavar="HOST:PORT", help="as others will reach it"
    )
    parser.add_argument("--force-new-cluster", action="store_true", help="do it")
    add_json(parser)
    return parser


class Report(msgspec.Struct, frozen=True):
    """What was found, and what was done."""

    done: bool
    name: str
    term: int
    index: int
    revision: int
    keys: int
    unconfirmed_entries: int
    cluster_id: str
    kept: str
    """Where the old data is; empty when nothing was done."""


def run(arguments: list[str]) -> int:
    """Tell what a recovery would do, or do it."""
    parsed = build_parser().parse_args(arguments)
    split_address(parsed.address)
    files = RealFiles()
    unlock = data_directory.lock(files, parsed.data_dir)
    try:
        report = _recover(files, parsed)
    finally:
        unlock()
    print(json.dumps(msgspec.structs.asdict(report)) if parsed.json else _text(report, parsed))
    return 0


def _recover(files: RealFiles, arguments: argparse.Namespace) -> Report:
    directory, forced = arguments.data_dir, arguments.force_new_cluster
    if data_directory.is_built(files, directory):
        if not forced:
            raise ConfigurationError(
                f"a recovery of {directory} was interrupted: say --force-new-cluster to finish it"
            )
        kept = data_directory.put_in_place(files, directory)
        found = salvage(files, directory)
        return _report(found, found.identity, kept)
    found = salvage(files, directory)
    check_name(found, arguments.name, directory)
    if not forced:
        return _report(found, found.identity, "")
    identity, kept = begin_new_cluster(files, RealRandomness(), directory, found, arguments.address)
    return _report(found, identity, kept)


def _report(found: Salvaged, identity: Identity, kept: str) -> Report:
    return Report(
        done=bool(kept),
        name=identity.name,
        term=found.term,
        index=found.index,
        revision=found.machine.revision,
        keys=len(found.machine.history.live),
        unconfirmed_entries=found.unconfirmed,
        cluster_id=f"{identity.cluster_id:x}",
        kept=kept,
    )


def _text(report: Report, arguments: argparse.Namespace) -> str:
    lines = [
        f"{report.name} has the log up to term {report.term}, index {report.index},",
        f"with revision {report.revision} and {report.keys:,} keys",
        f"{report.unconfirmed_entries} of its entries were not known as committed",
    ]
    start = f"  quorate serve --name {report.name} --data-dir {arguments.data_dir}"
    start += f" --listen {arguments.address}"
    if report.done:
        lines += [
            f"it is now the only member of the new cluster {report.cluster_id}",
            f"its old data is in {report.kept}",
            "start it:",
            start,
        ]
    else:
        lines += ["nothing was changed: --force-new-cluster makes it the only member of a new one"]
    return "\n".join([*lines, "", WARNING])

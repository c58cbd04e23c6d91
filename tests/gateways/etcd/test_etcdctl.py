"""etcdctl, unchanged, says of a node of ours what it says of an etcd."""

from __future__ import annotations

import re

import pytest

from .programs import Ctl

pytestmark = pytest.mark.system


def agree(pair: tuple[Ctl, Ctl], *lines: str, stdin: str = "") -> list[str]:
    """Run commands at both; return what ours wrote."""
    written = []
    for line in lines:
        expected, seen = (ctl.seen(*line.split(" "), stdin=stdin) for ctl in pair)
        assert seen == expected, line
        written.append(seen[1])
    return written


def test_keys_are_written_read_and_deleted(pair: tuple[Ctl, Ctl]) -> None:
    agree(
        pair,
        *(f"put key{number} value{number}" for number in range(5)),
        "put key1 other --prev-kv",
        "put key1 --ignore-lease third",
        "put nothing --ignore-value",
        "put key9 x --lease=1234",
        "get key1",
        "get key1 -w json",
        "get key1 -w fields",
        "get key --prefix",
        "get key --prefix --keys-only",
        "get key --prefix --print-value-only",
        "get key --prefix --limit 2",
        "get key --prefix --limit 2 -w json",
        "get key1 key4",
        "get key3 --from-key",
        "get key --prefix --order=DESCEND --sort-by=KEY",
        "get key --prefix --order=ASCEND --sort-by=MODIFY",
        "get key --prefix --order=DESCEND --sort-by=CREATE",
        "get key --prefix --order=DESCEND --sort-by=VERSION",
        "get key --prefix --order=ASCEND --sort-by=VALUE",
        "get key1 --rev=3",
        "get key1 --rev=3 -w json",
        "get key1 --rev=300",
        "get key1 --consistency=s",
        "get key1 --hex",
        "get missing",
        "del key1 --prev-kv",
        "del key2 key4",
        "del key --prefix --prev-kv -w json",
        "del key --prefix",
        "del z --from-key",
    )


def test_counts_are_told(pair: tuple[Ctl, Ctl]) -> None:
    if "3.4" in str(pair[0].run("version").stdout):
        pytest.skip("etcdctl 3.4 can't count")
    agree(pair, "put a1 x", "put a2 y", "get a --prefix --count-only -w fields")


def test_transactions_are_read_from_a_terminal(pair: tuple[Ctl, Ctl]) -> None:
    agree(pair, "put user bad", "put other x")
    answers = agree(
        pair,
        "txn",
        "txn -w json",
        stdin='value("user") = "bad"\n\ndel user\nput other y\nget other\n\nput user good\n\n',
    )
    assert "SUCCESS" in answers[0]
    agree(pair, "txn", stdin='mod("user") > "0"\nver("other") = "1"\n\nget user\n\nget other\n\n')
    agree(pair, "txn", stdin='create("user") = "0"\n\nput user new\n\nput user old\n\n')
    agree(pair, "get user", "get other")


def test_history_is_compacted(pair: tuple[Ctl, Ctl]) -> None:
    agree(
        pair,
        *(f"put k v{number}" for number in range(4)),
        "compaction 3",
        "compaction 3",
        "compaction 99",
        "get k --rev=2",
        "get k --rev=4",
        "compaction 5 --physical",
        "defrag",
    )


def test_leases_end_and_take_their_keys(pair: tuple[Ctl, Ctl]) -> None:
    expected, seen = (ctl.seen("lease", "grant", "300") for ctl in pair)
    assert seen == expected
    leases = [ctl.run("lease", "grant", "500").stdout.split()[1] for ctl in pair]
    steps: list[tuple[str, ...]] = [
        ("put", "a", "1", "--lease={}"),
        ("put", "b", "2", "--lease={}"),
        ("lease", "timetolive", "{}"),
        ("lease", "timetolive", "{}", "--keys"),
        ("lease", "keep-alive", "--once", "{}"),
        ("lease", "list"),
        ("put", "a", "3", "--ignore-lease"),
        ("put", "b", "--ignore-value"),
        ("get", "", "--prefix", "-w", "json"),
        ("lease", "revoke", "{}"),
        ("lease", "revoke", "{}"),
        ("lease", "timetolive", "{}"),
        ("lease", "keep-alive", "--once", "{}"),
        ("get", "", "--prefix"),
    ]
    for step in steps:
        results = [
            ctl.seen(*(part.format(lease) for part in step))
            for ctl, lease in zip(pair, leases, strict=True)
        ]
        theirs, ours = (_without_remains(result) for result in results)
        assert ours == theirs, step


def _without_remains(result: tuple[int, str, str]) -> tuple[int, str, str]:
    """Leave out the seconds that remain of a lease, and an order that etcd does not keep."""
    code, output, errors = result
    output = re.sub(r"remaining\(\d+s\)", "remaining", output)
    keys = re.search(r"attached keys\(\[(.*)\]\)", output)
    if keys is not None:
        output = output.replace(keys[1], " ".join(sorted(keys[1].split())))
    return code, output, errors


def test_a_cluster_is_well(pair: tuple[Ctl, Ctl]) -> None:
    for line in ("alarm list", "alarm disarm", "auth status"):
        agree(pair, line)
    for line in ("endpoint status", "endpoint health", "endpoint hashkv", "member list"):
        theirs, ours = (ctl.seen(*line.split()) for ctl in pair)
        assert _without_figures(ours) == _without_figures(theirs), line


def _without_figures(result: tuple[int, str, str]) -> tuple[int, str, str]:
    """Leave out what is measured, and what the servers are called."""
    code, output, errors = result
    own = (
        r"[\d.]+ ?[kMG]?B|[\d.]+[mµ]?s|ID\d+|https?://[^,]*|\bn0\b|\bnode1\b|\b3\.5\.\d+\b|\b\d+\b"
    )
    return code, re.sub(own, "N", output), re.sub(own, "N", errors)

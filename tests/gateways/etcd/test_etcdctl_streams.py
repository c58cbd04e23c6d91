"""etcdctl's commands that go on: watches, locks, elections, mirrors, and backups."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .programs import Ctl

pytestmark = pytest.mark.system
PATIENCE = 30.0


@contextlib.contextmanager
def running(ctl: Ctl, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until the block ends."""
    process = subprocess.Popen(
        ctl.command(*arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ctl.environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """Read so many lines of what a command writes."""
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


def watched(ctl: Ctl, *arguments: str) -> list[str]:
    """Watch from the beginning on while keys change; return what was written up to a last one."""
    with running(ctl, "watch", *arguments, "--rev=1") as watch:
        for line in (
            "put w/a 1",
            "put w/a 2",
            "put other 1",
            "del w/a",
            "put w/b 3",
            "put w/end .",
        ):
            assert ctl.run(*line.split()).returncode == 0
        seen: list[str] = []
        while not seen or seen[-1] != ".":
            seen += lines(watch, 1)
        return seen


def test_a_watch_sees_what_an_etcd_s_would(pair: tuple[Ctl, Ctl]) -> None:
    theirs, ours = (watched(ctl, "w/", "--prefix") for ctl in pair)
    assert ours == theirs
    assert ours.count("PUT") == 4


def test_a_watch_tells_what_was_there_before(pair: tuple[Ctl, Ctl]) -> None:
    theirs, ours = (watched(ctl, "w/", "--prefix", "--prev-kv") for ctl in pair)
    assert ours == theirs


def test_a_watch_begins_in_the_past(pair: tuple[Ctl, Ctl]) -> None:
    seen = []
    for ctl in pair:
        for line in ("put p/a 1", "put p/a 2", "del p/a", "put p/b 3"):
            ctl.run(*line.split())
        with running(ctl, "watch", "p/", "--prefix", "--rev=2", "-w", "json") as watch:
            events: list[object] = []
            while len(events) < 4:
                (line,) = lines(watch, 1)
                events += json.loads(ctl.plain(line)).get("Events") or []
            seen.append(events)
    assert seen[0] == seen[1]


def test_a_watch_whose_past_was_compacted_says_so(pair: tuple[Ctl, Ctl]) -> None:
    seen = []
    for ctl in pair:
        for number in range(4):
            ctl.run("put", "c", str(number))
        ctl.run("compaction", "4")
        done = ctl.run("watch", "c", "--rev=2")
        seen.append(
            (done.returncode, done.stdout, "required revision has been compacted" in done.stderr)
        )
    assert seen[0] == seen[1]


def test_watches_are_made_at_a_prompt(pair: tuple[Ctl, Ctl]) -> None:
    seen = []
    for ctl in pair:
        with running(ctl, "watch", "-i") as watch:
            assert watch.stdin is not None
            ctl.run("put", "i/a", "1")
            watch.stdin.write("watch i/a --rev=2\nwatch i/b --rev=2\n")
            watch.stdin.flush()
            first = lines(watch, 3)
            ctl.run("put", "i/b", "2")
            seen.append((first, lines(watch, 3)))
    assert seen[0] == seen[1]


def test_a_lock_is_held_by_one_at_a_time(pair: tuple[Ctl, Ctl]) -> None:
    for ctl in pair:
        with running(ctl, "lock", "l") as first:
            (key,) = lines(first, 1)
            assert key.startswith("l/")
            with running(ctl, "lock", "l") as second:
                while len(ctl.run("get", "l/", "--prefix", "--keys-only").stdout.split()) < 2:
                    time.sleep(0.02)
                first.send_signal(signal.SIGINT)
                (other,) = lines(second, 1)
                assert other.startswith("l/")
                assert other != key
        done = ctl.run("lock", "other", "echo", "held")
        assert (done.returncode, done.stdout) == (0, "held\n")


def test_one_is_elected_and_others_observe_it(pair: tuple[Ctl, Ctl]) -> None:
    for ctl in pair:
        with running(ctl, "elect", "e", "first") as first:
            key, value = lines(first, 2)
            assert (key.startswith("e/"), value) == (True, "first")
            with running(ctl, "elect", "-l", "e") as observer, running(ctl, "elect", "e", "next"):
                assert lines(observer, 2) == [key, "first"]
                first.send_signal(signal.SIGINT)
                other, value = lines(observer, 2)
                assert (other != key, value) == (True, "next")


def test_a_store_is_mirrored_both_ways(pair: tuple[Ctl, Ctl]) -> None:
    for source, target in (pair, pair[::-1]):
        prefix = f"m{source.address[-4:]}/"
        source.run("put", f"{prefix}before", "1")
        with running(source, "make-mirror", target.address, "--prefix", prefix):
            _wait_for(target, f"{prefix}before", "1")
            source.run("put", f"{prefix}after", "2")
            _wait_for(target, f"{prefix}after", "2")
            source.run("del", f"{prefix}before")
            _wait_for(target, f"{prefix}before", "")


def _wait_for(ctl: Ctl, key: str, value: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while ctl.run("get", key, "--print-value-only").stdout.strip() != value:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_backup_is_whole_and_makes_a_new_member(pair: tuple[Ctl, Ctl], tmp_path: Path) -> None:
    _, ours = pair
    ours.run("put", "kept", "value")
    file = tmp_path / "backup.db"
    done = ours.run("snapshot", "save", str(file))
    assert done.returncode == 0
    status = [sys.executable, "-m", "quorate", "snapshot", "status", str(file), "--json"]
    told = json.loads(subprocess.run(status, capture_output=True, check=True, text=True).stdout)
    assert told["keys"] == 1
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(file.read_bytes()[:-1] + b"?")
    refused = subprocess.run([*status[:-2], str(damaged)], capture_output=True, check=False)
    assert refused.returncode != 0
    assert b"SHA-256" in refused.stderr

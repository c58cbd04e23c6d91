"""A backup taken under load, a new cluster made of it, and a node that is all that is left."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import quorate
from quorate.cli.processes import LocalCluster, LocalNode, Ports, free_ports
from quorate.kv.requests import SaveSnapshot, SnapshotPart, decode_response, encode
from quorate.runtime.network import RealNetwork
from quorate.runtime.transport.connection import Connection, ConnectionLimits
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import PROTOCOL_VERSION, Hello, Role

pytestmark = pytest.mark.system
MEBIBYTE = 1024 * 1024


def quorate_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "quorate", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


async def command(*arguments: str) -> dict[str, object]:
    """Run a command that must succeed; return the JSON that it prints."""
    done = await asyncio.to_thread(quorate_command, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


@asynccontextmanager
async def writers(url: str) -> AsyncIterator[list[str]]:
    """Write new keys all the time; gives the keys whose write was acknowledged."""
    acknowledged: list[str] = []

    async def write(client: quorate.AsyncClient, name: int) -> None:
        for number in range(1_000_000):
            key = f"load/{name}/{number}"
            await client.kv.put(key, "x" * 200)
            acknowledged.append(key)

    async with quorate.AsyncClient(url, timeout=5) as client:
        writing = [asyncio.ensure_future(write(client, name)) for name in range(8)]
        try:
            yield acknowledged
        finally:
            for each in writing:
                each.cancel()
            await asyncio.gather(*writing, return_exceptions=True)


async def until_more_than(keys: list[str], count: int) -> None:
    async with asyncio.timeout(60):
        while len(keys) <= count:  # noqa: ASYNC110  the writers run on meanwhile
            await asyncio.sleep(0.01)


async def until_revision(node: LocalNode, revision: int) -> None:
    async with asyncio.timeout(30):
        while (status := await node.status()) is None or status.revision < revision:  # noqa: ASYNC110  another process tells no event
            await asyncio.sleep(0.05)


async def keys_in(client: quorate.AsyncClient, prefix: str) -> set[str]:
    found: set[str] = set()
    start, more = prefix.encode(), True
    while more:
        page = await client.kv.range(start, prefix.encode() + b"\xff", limit=5000)
        found.update(item.key.decode() for item in page.items)
        more = page.more
        start = page.items[-1].key + b"\0" if page.items else start
    return found


def restored(backup: Path, directory: Path) -> LocalCluster:
    """Make three members of a new cluster; they are not started."""
    cluster = LocalCluster(directory, 3, 0)
    peers = ",".join(f"{node.name}={node.address}" for node in cluster.nodes)
    for node in cluster.nodes:
        where = ["--name", node.name, "--data-dir", str(node.directory), "--peers", peers]
        done = quorate_command("snapshot", "restore", str(backup), *where)
        assert done.returncode == 0, done.stderr
    return cluster


def test_a_backup_under_load_becomes_a_new_cluster_with_all_that_was_acknowledged(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    backup = tmp_path / "store.snap"

    async def old() -> tuple[set[str], int, int]:
        async with quorate.AsyncClient(cluster.url) as client, writers(cluster.url) as keys:
            await until_more_than(keys, 1000)
            before = set(keys)
            async with client.lock("job", ttl=3):
                revision = await client.kv.put("mark", "before")
                await command("snapshot", "save", str(backup), "--url", cluster.url)
            # The old cluster goes on after the backup, and gives more tokens.
            count = len(keys)
            await until_more_than(keys, count + 500)
            async with client.lock("job", ttl=10) as held:
                return before, revision, held.token

    before, revision, last_token = asyncio.run(old())
    looked = json.loads(quorate_command("snapshot", "status", str(backup), "--json").stdout)
    assert looked["keys"] >= len(before)
    assert looked["revision"] >= revision
    for node in cluster.nodes:
        node.kill()
    fresh = restored(backup, tmp_path / "fresh")
    fresh.start()

    async def new() -> None:
        await fresh.ready()
        async with quorate.AsyncClient(fresh.url) as client:
            assert before <= await keys_in(client, "load/")
            # Who held the lock at the backup is gone: its lease ends, the lock is free again.
            async with client.lock("job", ttl=10) as held:
                assert held.token > last_token
            with pytest.raises(quorate.Compacted):
                async with client.kv.watch("mark", from_revision=revision) as events:
                    await anext(aiter(events))
            async with client.kv.watch("mark") as events:
                await client.kv.put("mark", "after")
                assert (await anext(aiter(events))).kv.value == b"after"

    try:
        asyncio.run(new())
        # A follower that is started later agrees with the others about everything.
        statuses = asyncio.run(fresh.statuses())
        assert len({status.cluster_id for status in statuses if status}) == 1
        old_id = json.loads((cluster.nodes[0].directory / "identity.json").read_text())
        assert old_id["cluster_id"] not in {status.cluster_id for status in statuses if status}
    finally:
        for node in fresh.nodes:
            node.kill()


def test_a_large_store_streams_to_a_slow_reader_within_the_bounds(
    cluster: LocalCluster,
) -> None:
    """More than a connection may queue, to a client that stops reading for a while."""

    async def body() -> None:
        async with quorate.AsyncClient(cluster.url, timeout=60) as client:
            value = bytes(MEBIBYTE)
            for number in range(90):
                await client.kv.put(f"large/{number}", value)
            received, paused = 0, asyncio.Event()
            done = asyncio.get_running_loop().create_future()

            def on_frames(connection: Connection, frames: list[bytes]) -> None:
                nonlocal received
                for frame in frames:
                    response = decode_response(frame)
                    if isinstance(response, SnapshotPart):
                        before, received = received, received + len(response.data)
                        if before < 8 * MEBIBYTE <= received:
                            connection.pause_reading()
                            paused.set()
                        if not response.data:
                            done.set_result(None)

            leader = await cluster.ready()
            connection, _ = await Dialer(
                RealNetwork(), None, ConnectionLimits(frame_bytes=64 * MEBIBYTE)
            ).dial(
                leader.address,
                Hello(PROTOCOL_VERSION, Role.CLIENT),
                on_frames=on_frames,
                on_lost=lambda _, error: None if done.done() else done.set_exception(error),
            )
            connection.send(encode(SaveSnapshot(1)))
            async with asyncio.timeout(60):
                await paused.wait()
                # The leader serves others while it waits for this one.
                for number in range(20):
                    await client.kv.put(f"small/{number}", "x")
                connection.resume_reading()
                await done
            assert received > 90 * MEBIBYTE
            connection.close("done")
            await connection.wait_lost()

    asyncio.run(body())


def test_a_leader_that_dies_meanwhile_leaves_no_file(cluster: LocalCluster, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()

    async def body() -> subprocess.CompletedProcess[str]:
        async with quorate.AsyncClient(cluster.url, timeout=60) as client:
            for number in range(64):
                await client.kv.put(f"large/{number}", bytes(MEBIBYTE))
        leader = await cluster.ready()
        arguments = ["snapshot", "save", str(backups / "store.snap"), "--url", cluster.url]
        saving = asyncio.ensure_future(asyncio.to_thread(quorate_command, *arguments))
        while not list(backups.iterdir()):  # noqa: ASYNC110  another process tells no event
            await asyncio.sleep(0.001)
        leader.kill()
        return await saving

    done = asyncio.run(body())
    assert done.returncode == 3, done.stdout
    assert done.stderr == "quorate: the snapshot broke off before its end: save it again\n"
    assert not list(backups.iterdir())


def test_progress_is_shown_on_a_terminal_and_nowhere_else(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    arguments = ["snapshot", "save", str(tmp_path / "store.snap"), "--url", cluster.url]
    quiet = quorate_command(*arguments)
    assert quiet.returncode == 0
    assert not quiet.stderr
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "quorate", *arguments]
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=60, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    assert b"saving store.snap" in shown
    assert b"bytes" in shown
    assert b"saving" not in done.stdout


def test_one_node_of_three_becomes_a_cluster_that_grows_again(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    async def before() -> tuple[list[str], int]:
        async with (
            quorate.AsyncClient(cluster.url, timeout=5) as client,
            writers(cluster.url) as keys,
        ):
            async with client.lock("job", ttl=10) as held:
                token = held.token
            await until_more_than(keys, 1000)
            # Everything dies at once. What was acknowledged is on two nodes at least, and the
            # leader, which has every entry, is the one that is left.
            leader = await cluster.ready()
            for node in cluster.nodes:
                node.kill()
            cluster.nodes.sort(key=lambda node: node is not leader)
            return list(keys), token

    acknowledged, token = asyncio.run(before())
    left = cluster.nodes[0]
    arguments = ["recover", "--data-dir", str(left.directory), "--name", left.name]
    arguments += ["--address", left.address]
    looked = quorate_command(*arguments, "--json")
    assert json.loads(looked.stdout)["done"] is False, looked.stderr
    done = quorate_command(*arguments, "--force-new-cluster", "--json")
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["kept"], "wal").is_dir()
    left.start()
    url = f"quorate://{left.address}"
    port, http = free_ports(2)
    second = LocalNode("second", tmp_path / "second", Ports(port, http), "")

    async def after() -> None:
        async with quorate.AsyncClient(url, timeout=30) as client:
            assert set(acknowledged) <= await keys_in(client, "load/")
            async with client.lock("job", ttl=10) as held:
                assert held.token > token
            await client.kv.put("alone", "yes")
            add = ["member", "add", "second", second.address, "--url", url]
            assert (await asyncio.to_thread(quorate_command, *add)).returncode == 0
            early = ["member", "promote", "second", "--url", url, "--timeout", "0.5"]
            refused = await asyncio.to_thread(quorate_command, *early)
            assert refused.returncode == 3
            assert "has not caught up" in refused.stderr
            second.start("--join", left.address)
            promote = ["member", "promote", "second", "--url", url]
            assert (await asyncio.to_thread(quorate_command, *promote)).returncode == 0
            await until_revision(second, await client.kv.put("together", "yes"))

    try:
        asyncio.run(after())
    finally:
        second.kill()


def test_a_node_that_runs_is_not_recovered(cluster: LocalCluster) -> None:
    node = cluster.nodes[0]
    arguments = ["--data-dir", str(node.directory), "--name", node.name]
    arguments += ["--address", node.address, "--force-new-cluster"]
    done = quorate_command("recover", *arguments)
    assert done.returncode == 2
    assert "another process uses" in done.stderr

"""What the tests with real processes share: loads, and the harm done meanwhile."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import quorate
from quorate.cli.processes import LocalCluster, LocalNode, Ports, free_ports
from quorate.kv.requests import (
    ReadAll,
    ReadDone,
    Request,
    Response,
    Status,
    decode_response,
    encode,
)
from quorate.runtime.network import RealNetwork
from quorate.runtime.transport.connection import Connection, ConnectionLimits, ignore_loss
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import PROTOCOL_VERSION, Hello
from quorate.store.types import Get, KeyValue, ReadConsistency

COUNTING = """
import sys, time
import quorate

url, seconds, rounds = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
end = time.monotonic() + seconds
with quorate.Client(url, timeout=30) as client:
    while rounds > 0 or time.monotonic() < end:
        rounds -= 1
        with client.lock("counter", ttl=10) as held:
            found = client.kv.get("count")
            count = int(found.value) + 1 if found else 1
            client.kv.put("count", str(count))
            print(count, held.token, flush=True)
"""


async def until(holds: Callable[[], Awaitable[bool]], *, seconds: float = 30) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110  another process tells no event
            await asyncio.sleep(0.05)


async def restart_leader(cluster: LocalCluster) -> None:
    """Kill the leader, wait for another one, and start the dead one again until it answers."""
    leader = await cluster.ready()
    leader.kill()
    await cluster.ready()
    leader.start()
    await until(lambda: answers(leader))


async def answers(node: LocalNode) -> bool:
    return await node.status() is not None


async def keep_killing(cluster: LocalCluster, rounds: int, *, every: float = 0.0) -> None:
    """Restart the leader again and again; `every` so many seconds, or as fast as it goes."""
    for _ in range(rounds):
        started = time.monotonic()
        await restart_leader(cluster)
        await asyncio.sleep(max(0.0, started + every - time.monotonic()))


async def count_in_processes(
    url: str, processes: int, *, seconds: float, rounds: int
) -> list[tuple[int, int]]:
    """Count under the lock in processes of their own: each count with its token, in order.

    Each process makes `rounds` at least, and goes on for `seconds`.
    """
    running = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", COUNTING, url, str(seconds), str(rounds)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(processes)
    ]
    counted: list[tuple[int, int]] = []
    for process, (output, errors) in zip(
        running, await asyncio.gather(*(process.communicate() for process in running)), strict=True
    ):
        assert process.returncode == 0, errors.decode()
        for line in output.decode().splitlines():
            count, token = line.split()
            counted.append((int(count), int(token)))
    return sorted(counted)


def assert_exact(counted: Sequence[tuple[int, int]]) -> None:
    """No increment was lost or done twice, and every later holder had a larger token."""
    assert [count for count, _ in counted] == list(range(1, len(counted) + 1))
    tokens = [token for _, token in counted]
    assert tokens == sorted(set(tokens)), "tokens strictly increase"


@asynccontextmanager
async def load(url: str) -> AsyncIterator[list[int]]:
    """Write all the time, and fail if one write fails."""
    revisions: list[int] = []

    async def write(client: quorate.AsyncClient, name: int) -> None:
        while True:
            revisions.append(await client.kv.put(f"load/{name}", "x"))

    async with quorate.AsyncClient(url, timeout=30) as client:
        writers = [asyncio.ensure_future(write(client, name)) for name in range(4)]
        yield revisions
        for writer in writers:
            writer.cancel()
        for outcome in await asyncio.gather(*writers, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome


async def more(revisions: list[int], count: int) -> None:
    """Wait until the load wrote so much more."""
    goal = len(revisions) + count

    async def reached() -> bool:
        return len(revisions) >= goal

    await until(reached)


async def command(*arguments: str) -> str:
    """Run the command line and return what it printed; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "quorate", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


def new_seats(directory: Path, count: int) -> list[LocalNode]:
    """Nodes that are to join: other names, empty directories."""
    ports = free_ports(2 * count)
    return [
        LocalNode(
            f"new{place}",
            directory / f"new{place}",
            Ports(ports[2 * place], ports[2 * place + 1]),
            "",
        )
        for place in range(count)
    ]


async def replace_members(cluster: LocalCluster, newcomers: list[LocalNode]) -> None:
    """Let a member die for each newcomer, remove it, and let the newcomer take its part.

    The leader dies in every other round. All of it by command, and under load; the load
    ends with an error if a single write does.
    """
    seats = [*cluster.nodes, *newcomers]
    url = "quorate://" + ",".join(node.address for node in seats)
    async with load(url) as revisions:
        for turn, newcomer in enumerate(newcomers):
            leader = await cluster.ready()
            dying = leader if turn % 2 == 0 else _oldest_but(cluster, leader)
            dying.kill()
            cluster.nodes.remove(dying)
            await more(revisions, 20)
            await command("member", "remove", dying.name, "--url", url, "--timeout", "30")
            await command(
                "member", "add", newcomer.name, newcomer.address, "--url", url, "--timeout", "30"
            )
            newcomer.start("--join", ",".join(node.address for node in cluster.nodes))
            await until(functools.partial(_has_state, newcomer))
            await command("member", "promote", newcomer.name, "--url", url, "--timeout", "30")
            cluster.nodes.append(newcomer)
            await more(revisions, 50)
            listed = await command("member", "list", "--url", url)
            assert sorted(line.split()[1] for line in listed.splitlines()) == sorted(
                node.name for node in cluster.nodes
            )
    await same_state(cluster)


def _oldest_but(cluster: LocalCluster, leader: LocalNode) -> LocalNode:
    return next(node for node in cluster.nodes if node is not leader)


async def _has_state(node: LocalNode) -> bool:
    status = await node.status()
    return status is not None and status.revision > 1


async def same_state(cluster: LocalCluster) -> list[Status]:
    """Wait until every node of a cluster at rest has applied the same, and return it."""
    found: list[Status] = []

    async def agreed() -> bool:
        statuses = [status for status in await cluster.statuses() if status is not None]
        found[:] = statuses
        return (
            len(statuses) == len(cluster.nodes)
            and len({(each.applied_index, each.revision, each.store_bytes) for each in statuses})
            == 1
        )

    await until(agreed)
    return found


async def ask(address: str, request: Request) -> Response:
    """Ask one node directly, whether it leads or not, and return the first answer."""
    answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def on_frames(_: Connection, frames: list[bytes]) -> None:
        if not answer.done():
            answer.set_result(decode_response(frames[0]))

    dialer = Dialer(RealNetwork(), None, ConnectionLimits())
    connection, _ = await dialer.dial(
        address, Hello(PROTOCOL_VERSION), on_frames=on_frames, on_lost=ignore_loss
    )
    connection.send(encode(request))
    async with asyncio.timeout(10):
        found = await answer
    connection.close("the question is answered")
    await connection.wait_lost()
    return found


async def stale(address: str, key: str) -> KeyValue | None:
    """Read what one node has applied."""
    answer = await ask(address, ReadAll(1, ReadConsistency.STALE, (Get(key.encode()),)))
    assert isinstance(answer, ReadDone)
    (found,) = answer.results
    assert found is None or isinstance(found, KeyValue)
    return found


async def lead(cluster: LocalCluster, node: LocalNode) -> None:
    """Hand leadership to a node, and wait until it leads."""
    url = cluster.url

    async def leads() -> bool:
        status = await node.status()
        if status is not None and status.role == "leader":
            return True
        await command("member", "transfer", node.name, "--url", url)
        return False

    await until(leads)

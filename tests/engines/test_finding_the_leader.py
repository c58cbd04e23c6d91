"""How a client finds the leader: it asks every node, and listens to one that knows none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from quorate.engines.cluster.link import Link
from quorate.errors import ConnectionLost
from quorate.kv.commands import Refusal, RefusalCode
from quorate.kv.requests import Failed, encode
from quorate.runtime.real_ports import real_ports
from quorate.runtime.scope import TaskScope
from quorate.runtime.transport.connection import Connection
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import Hello, Welcome

ADDRESSES = ("a:1", "b:1", "c:1")
PATIENCE = 10


class Line:
    """One connection to a node that is played by the test."""

    def __init__(self, address: str, on_frames: Any, on_lost: Any) -> None:
        self.address = address
        self.is_open = True
        self._on_frames = on_frames
        self._on_lost = on_lost

    def says_who_leads(self, leader: str) -> None:
        refusal = Refusal(RefusalCode.NOT_LEADER, "there is a leader")
        self._on_frames(self, [encode(Failed(0, refusal, leader))])

    def breaks(self) -> None:
        self.is_open = False
        self._on_lost(self, ConnectionLost("the node died"))

    def close(self, _reason: str) -> None:
        self.is_open = False

    async def wait_lost(self) -> None:
        pass


class Nodes:
    """Dials nodes of which nobody leads, until the test says so."""

    def __init__(self, dialled: Callable[[Line], None]) -> None:
        self.leader = ""
        self.calls: list[str] = []
        self._dialled = dialled

    async def dial(
        self, address: str, _hello: Hello, *, on_frames: Any, on_lost: Any
    ) -> tuple[Connection, Welcome]:
        line = Line(address, on_frames, on_lost)
        self.calls.append(address)
        welcome = Welcome(1, 7, 1, 0, 0, self.leader, ADDRESSES)
        # Once every node was asked, the client listens.
        if len(self.calls) > len(ADDRESSES):
            asyncio.get_running_loop().call_soon(self._dialled, line)
        return cast("Connection", line), welcome


async def connected(nodes: Nodes) -> Link:
    """Let a client look until it has found the leader."""
    ports = real_ports()
    scope = TaskScope(lambda _name, error: pytest.fail(repr(error)))
    link = Link(
        ADDRESSES,
        dialer=cast("Dialer", nodes),
        clock=ports.clock,
        randomness=ports.randomness,
        scope=scope,
    )
    found = asyncio.Event()
    link.on_connected = found.set
    link.connect()
    async with asyncio.timeout(PATIENCE):
        await found.wait()
    await scope.close()
    return link


def test_a_node_that_becomes_the_leader_is_adopted_without_another_call() -> None:
    nodes = Nodes(lambda line: line.says_who_leads(line.address))
    link = asyncio.run(connected(nodes))
    assert len(nodes.calls) == len(ADDRESSES) + 1
    assert link.address == nodes.calls[-1]


def test_the_leader_that_a_node_hears_of_is_called_next() -> None:
    def hears(line: Line) -> None:
        nodes.leader = "c:1"
        line.says_who_leads("c:1")

    nodes = Nodes(hears)
    link = asyncio.run(connected(nodes))
    assert link.address == "c:1"
    assert nodes.calls == [*ADDRESSES, "a:1", "c:1"]


def test_a_node_that_breaks_off_is_left_at_once() -> None:
    def breaks(line: Line) -> None:
        nodes.leader = "b:1"
        line.breaks()

    nodes = Nodes(breaks)
    link = asyncio.run(connected(nodes))
    assert link.address == "b:1"
    assert nodes.calls == [*ADDRESSES, "a:1", "b:1"]


def test_a_node_that_says_nothing_is_left_after_a_while() -> None:
    def stays_silent(_line: Line) -> None:
        if len(nodes.calls) == len(ADDRESSES) + 3:
            nodes.leader = "a:1"

    nodes = Nodes(stays_silent)
    link = asyncio.run(connected(nodes))
    assert link.address == "a:1"
    assert nodes.calls[:6] == [*ADDRESSES, *ADDRESSES]

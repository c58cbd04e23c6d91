"""Links come up, carry, drop, go down and come back."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from quorate.errors import ConfigurationError
from quorate.runtime.network import RealNetwork
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import Role
from quorate.runtime.transport.peers import LARGEST_DELAY, PEER_BOUND, LinkEvents, PeerLinks

from .places import LOOPS, Desk, hello, listening, run

pytestmark = pytest.mark.parametrize("loop", LOOPS)


class Dice:
    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        self.asked: list[float] = []

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)

    def uniform(self, low: float, high: float) -> float:
        self.asked.append(high)
        return low / 10  # the tests are in a hurry


class Links:
    def __init__(self) -> None:
        self.up: asyncio.Queue[int] = asyncio.Queue()
        self.down: asyncio.Queue[int] = asyncio.Queue()
        self.errors: list[BaseException] = []
        self.dice = Dice()
        self.links = PeerLinks(
            Dialer(RealNetwork()),
            hello(Role.PEER, node_id=2),
            self.dice,
            LinkEvents(
                self.up.put_nowait, self.down.put_nowait, lambda _, error: self.errors.append(error)
            ),
        )

    async def close(self) -> None:
        await self.links.close()
        assert self.errors == []


def test_messages_flow_and_links_come_back(loop: str) -> None:
    async def main() -> None:
        desk, us = Desk(node_id=1), Links()
        assert not us.links.send(1, b"before there is a link")
        async with listening(desk) as listener:
            port = listener.port
            us.links.update({1: f"127.0.0.1:{port}", 2: "127.0.0.1:1"})
            assert await us.up.get() == 1
            assert us.links.is_up(1)
            assert us.links.send(1, b"vote")
            assert await desk.peer.get() == (2, [b"vote"])
            # Both roles are there once two connections are.
            roles = {(await desk.opened.get())[1].role for _ in range(2)}
            assert roles == {Role.PEER, Role.BULK}
            while not us.links.send_bulk(1, b"chunk"):  # noqa: ASYNC110 - bulk links are silent
                await asyncio.sleep(0)
            assert await desk.bulk.get() == (2, [b"chunk"])
            assert not us.links.send(2, b"to ourselves")
            assert not us.links.send(3, b"to a stranger")
        assert await us.down.get() == 1
        assert not us.links.is_up(1)
        assert not us.links.send(1, b"dropped")
        async with listening(desk, port=port):
            assert await us.up.get() == 1
            assert us.links.trouble(1) == ""
            assert us.links.send(1, b"again")
            assert await desk.peer.get() == (2, [b"again"])
            us.links.update({})
            assert await us.down.get() == 1
            assert not us.links.send(1, b"not a member any more")
        await us.close()

    run(loop, main)


def test_a_changed_address_is_dialled_anew(loop: str) -> None:
    async def main() -> None:
        old, new, us = Desk(node_id=1), Desk(node_id=1), Links()
        async with listening(old) as first, listening(new) as second:
            us.links.update({1: f"127.0.0.1:{first.port}"})
            await us.up.get()
            with pytest.raises(ConfigurationError):
                us.links.update({1: "nonsense"})
            assert us.links.is_up(1)
            us.links.update({1: f"127.0.0.1:{second.port}"})
            await us.up.get()
            assert us.links.send(1, b"moved")
            assert await new.peer.get() == (2, [b"moved"])
            await us.close()
            assert us.down.qsize() == 2

    run(loop, main)


def test_the_wrong_node_is_no_link_and_attempts_get_rarer(loop: str) -> None:
    async def main() -> None:
        desk, us = Desk(node_id=3), Links()
        async with listening(desk) as listener:
            us.links.update({1: f"127.0.0.1:{listener.port}"})
            for _ in range(6):
                await desk.opened.get()
            assert "is node 3, not node 1" in us.links.trouble(1)
            assert us.up.empty()
            await us.close()
        assert us.down.empty()
        assert us.dice.asked[0] < us.dice.asked[-1] <= LARGEST_DELAY

    run(loop, main)


def test_a_full_link_drops_and_lives(loop: str) -> None:
    async def main() -> None:
        desk, us = Desk(node_id=1), Links()
        async with listening(desk) as listener:
            us.links.update({1: f"127.0.0.1:{listener.port}"})
            await us.up.get()
            accepted = {
                said.role: connection
                for connection, said in [await desk.opened.get(), await desk.opened.get()]
            }
            accepted[Role.PEER].pause_reading()
            sent = 0
            while us.links.send(1, bytes(1_000_000)):
                sent += 1
            # What the two sockets themselves hold comes on top of the bound.
            assert PEER_BOUND // 1_000_004 <= sent < 2 * PEER_BOUND // 1_000_004
            assert us.links.is_up(1)
            accepted[Role.PEER].resume_reading()
            received = 0
            while received < sent:
                received += len((await desk.peer.get())[1])
            assert us.links.send(1, b"room again")
            await us.close()

    run(loop, main)

"""Messages between nodes: those of one turn of the loop share a frame per receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from quorate.protocol.raft import Message
from quorate.protocol.raft.messages import SnapshotChunk
from quorate.runtime.transport.peers import PeerLinks

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, Message]]).decode

Deliver = Callable[[int, int, Message], None]


class Post:
    """Sends and receives the messages of all groups of a node."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._links: PeerLinks | None = None
        self._outgoing: dict[int, list[tuple[int, Message]]] = {}
        self._loop = asyncio.get_running_loop()

    def connect(self, links: PeerLinks) -> None:
        """Send through these links from now on."""
        self._links = links

    def post(self, node: int, group: int, message: Message) -> None:
        """Send soon; may be lost. Snapshot data takes the bulk link, out of the others' way."""
        if type(message) is SnapshotChunk:
            if self._links is not None:
                self._links.send_bulk(node, _encode([(group, message)]))
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.setdefault(node, []).append((group, message))

    def received(self, sender: int, frames: list[bytes]) -> None:
        """Hand the messages in a peer's frames to their groups; raises MsgspecError."""
        for frame in frames:
            for group, message in _decode(frame):
                self._deliver(sender, group, message)

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, {}
        if self._links is not None:
            for node, messages in outgoing.items():
                self._links.send(node, _encode(messages))

"""The node that a gateway belongs to: its own state, which etcd's API also tells of."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from google_crc32c import extend
from msgspec.msgpack import Encoder

from quorate.errors import Compacted, FutureRevision
from quorate.kv.requests import Status
from quorate.node.node import Node

KEYS_PER_TURN: Final = 2000
"""Keys that are hashed before everybody else has a turn."""
_encode = Encoder().encode


class KeysHash(NamedTuple):
    """A checksum over all keys as of a revision, equal on equal members."""

    hash: int
    revision: int
    compact_revision: int


class LocalNode:
    """A node in this process."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def status(self) -> Status:
        """Return how the node is."""
        return self._node.status(0)

    @property
    def quota_bytes(self) -> int:
        """How large the store may become."""
        return self._node.machine.limits.quota_bytes

    @property
    def is_learner(self) -> bool:
        """Whether the node has no vote."""
        return self._node.is_learner

    def term(self) -> int:
        """Return the term of its consensus."""
        return self._node.term

    async def hash_keys(self, revision: int) -> KeysHash:
        """Return the CRC32C over every key, value and number, as of a revision (0: now).

        Raises `Compacted` and `FutureRevision`.
        """
        history = self._node.machine.history
        wanted = revision or history.revision
        if wanted > history.revision:
            raise FutureRevision(f"revision {wanted} does not exist yet")
        if wanted < history.compact_revision:
            raise Compacted(f"revision {wanted} was compacted away", history.compact_revision)
        compacted = history.compact_revision
        pin = history.pin()
        checksum = 0
        start = b""
        while True:
            versions = history.versions_at(start, b"", wanted)
            taken = [version for _, version in zip(range(KEYS_PER_TURN), versions, strict=False)]
            for version in taken:
                checksum = extend(checksum, _encode(version))
            if len(taken) < KEYS_PER_TURN:
                break
            start = taken[-1].key + b"\0"
            await asyncio.sleep(0)
        del pin
        return KeysHash(checksum, wanted, compacted)

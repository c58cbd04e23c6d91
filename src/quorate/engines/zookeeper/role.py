"""Whether a server leads its ensemble.

A leader answers `sync` at once, as it does a read: what it has decided and not yet applied is
not waited for, so that a read after it may miss a write that a follower has answered before.
(ZooKeeper's `sync` is no quorum operation: ZOOKEEPER-2136. In 3.8, `Leader` makes its
`CommitProcessor` with `matchSyncs` false.)
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from quorate.engines.zookeeper.servers import Servers

QUESTION: Final = b"srvr"
"""The one word that servers answer by default (`4lw.commands.whitelist`)."""
ANSWER_BYTES_MAX: Final = 64 * 1024
_KNOWN_TO_WAIT: Final = (b"Mode: follower", b"Mode: observer", b"Mode: standalone")


async def waits_for_syncs(servers: Servers, address: str) -> bool:
    """Tell whether a `sync` at this server waits for all that was decided before.

    A server that does not say what it is may be a leader. Raises OSError.
    """
    host, _, port = address.rpartition(":")
    question = _Question()
    try:
        await servers.ports.network.connect(lambda: question, host, int(port), servers.tls)
        answer = await question.answer
    finally:
        question.close()
    return any(mode in answer for mode in _KNOWN_TO_WAIT)


class _Question(asyncio.Protocol):
    """A connection for one word; its answer ends with the connection."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        # uvloop's transports offer the methods without the class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(QUESTION)

    def data_received(self, data: bytes) -> None:
        """Gather the answer."""
        self._received += data
        if len(self._received) > ANSWER_BYTES_MAX:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Take what came as the answer."""
        if not self.answer.done():
            self.answer.set_result(bytes(self._received))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

"""Who is being served, by token: a newer holder's request begins when the older ones have ended.

To let a token in and to act on it are two steps. A request that was let in may be slow, and
write after a newer one was let in and has written. So in one process a request waits until
those with lower tokens have left; those with its own token, the same holder's, it does not mind.

An older request whose body has not come yet need not be waited for: its holder may have stopped
in the middle of it. It is told that its client is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from quorate.fencing.fence import Fence

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
GONE: Final = "http.disconnect"


class Passage:
    """One request on its way through."""

    def __init__(self, resource: str, token: int, receive: Receive) -> None:
        self.resource = resource
        self.token = token
        self.left: asyncio.Event = asyncio.Event()
        self.overtaken_by: int = 0
        """The newer token that was let in meanwhile; 0: none."""
        self.cut_short: bool = False
        """Whether the request was told that its client is gone, since it was overtaken."""
        self._receive = receive
        self._listening: set[asyncio.Timeout] = set()

    async def receive(self) -> Message:
        """Return what comes from the client; that it is gone, once a newer token was let in."""
        if self.overtaken_by:
            return self._cut()
        try:
            async with asyncio.timeout(None) as patience:
                self._listening.add(patience)
                try:
                    return await self._receive()
                finally:
                    self._listening.discard(patience)
        except TimeoutError:
            if not patience.expired():
                raise
            return self._cut()

    def _cut(self) -> Message:
        self.cut_short = True
        return {"type": GONE}

    def overtake(self, token: int) -> None:
        """Say that a newer token was let in."""
        self.overtaken_by = token
        now = asyncio.get_running_loop().time()
        for patience in self._listening:
            patience.reschedule(now)


class Passages:
    """All requests of one process that a fence let in."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._inside: dict[str, list[Passage]] = {}

    async def enter(self, resource: str, token: int, receive: Receive) -> Passage:
        """Let a request in once the fence does and those with lower tokens have left.

        Raises what the fence raises. Whoever got a passage gives it to `leave`.
        """
        passage = Passage(resource, token, receive)
        inside = self._inside.setdefault(resource, [])
        # Before the fence is asked: a newer token's answer may come before an older one's.
        inside.append(passage)
        try:
            await self._fence.admit(resource, token)
            older = [each for each in inside if each.token < token]
            for each in older:
                each.overtake(token)
            for each in older:
                await each.left.wait()
        except BaseException:
            self.leave(passage)
            raise
        return passage

    def leave(self, passage: Passage) -> None:
        """Let those in who waited for this one."""
        passage.left.set()
        inside = self._inside[passage.resource]
        inside.remove(passage)
        if not inside:
            del self._inside[passage.resource]

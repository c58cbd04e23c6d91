"""A thread with an event loop of its own, through which blocking code calls async code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

import uvloop

from quorate.errors import InvalidRequest
from quorate.runtime.owner import current_owner, in_the_name_of

Result = TypeVar("Result")
Thing = TypeVar("Thing")


class Portal:
    """One thread, one loop, for one client."""

    def __init__(self) -> None:
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="quorate-client", daemon=True
        )
        self._thread.start()
        self._loop = ready.result()

    @property
    def is_open(self) -> bool:
        """Whether its loop runs."""
        return self._thread.is_alive()

    def call(self, function: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run the coroutine that `function` returns on the loop; return or raise as it does.

        An interrupt (Ctrl-C) in the waiting thread cancels it. It owns what the thread owns.
        """
        if not self.is_open:
            raise InvalidRequest("the client is closed: make a new one")
        work = in_the_name_of(current_owner(), function)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop and wait for the thread."""
        if self.is_open:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self, ready: Future[asyncio.AbstractEventLoop]) -> None:
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        ready.set_result(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()


@contextmanager
def entered(portal: Portal, entering: AbstractAsyncContextManager[Thing]) -> Iterator[Thing]:
    """Enter an async context manager from a thread, and leave it as the body was left."""
    thing = portal.call(entering.__aenter__)
    try:
        yield thing
    except BaseException as error:
        kind, raised, trace = type(error), error, error.__traceback__

        async def leave_with() -> None:
            await entering.__aexit__(kind, raised, trace)

        portal.call(leave_with)
        raise

    async def leave() -> None:
        await entering.__aexit__(None, None, None)

    portal.call(leave)


def each(portal: Portal, things: AsyncGenerator[Thing, None]) -> Iterator[Thing]:
    """Iterate from a thread over an async generator that goes on for ever."""

    async def following() -> Thing:
        return await anext(things)

    try:
        while True:
            yield portal.call(following)
    finally:
        # What a client that is closed gave out ends with it, whoever still holds it.
        if portal.is_open:
            portal.call(things.aclose)

"""A thread with an event loop of its own, through which blocking code calls async code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import uvloop

from quorate.errors import InvalidRequest
from quorate.runtime.owner import current_owner, in_the_name_of

Result = TypeVar("Result")


class Portal:
    """One thread, one loop, for one client."""

    def __init__(self) -> None:
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="quorate-client", daemon=True
        )
        self._thread.start()
        self._loop = ready.result()

    def call(self, function: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run the coroutine that `function` returns on the loop; return or raise as it does.

        An interrupt (Ctrl-C) in the waiting thread cancels it. It owns what the thread owns.
        """
        if not self._thread.is_alive():
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
        if self._thread.is_alive():
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

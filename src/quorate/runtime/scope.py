"""Tasks that end with their owner.

Law: a task has a strong reference for as long as it runs, its failure is never silent, and
everything happens in the order of spawning, because a simulated run must repeat exactly
(`asyncio.TaskGroup` and `asyncio.wait` keep their tasks in sets, whose order does not).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class TaskScope:
    """Owns tasks. `on_error` hears the name and the exception of each one that fails."""

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        self._on_error = on_error
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        """Start a task; raises RuntimeError after `close`."""
        if self._closed:
            coroutine.close()
            raise RuntimeError(f"task {name!r} was spawned after its scope was closed")
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel all tasks in the order of spawning, and wait for them in that order.

        Fine to call twice, and from one of the tasks, which then is left to end by itself.
        """
        self._closed = True
        current = asyncio.current_task()
        ending = [task for task in self._tasks if task is not current]
        for task in ending:
            task.cancel()
        for task in ending:
            await _ended(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(task.get_name(), error)


async def _ended(task: asyncio.Task[Any]) -> None:
    # Awaiting the task itself would confuse its cancellation with ours.
    if task.done():
        return
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(_: asyncio.Task[Any]) -> None:
        if not ended.done():
            ended.set_result(None)

    task.add_done_callback(wake)
    try:
        await ended
    finally:
        task.remove_done_callback(wake)

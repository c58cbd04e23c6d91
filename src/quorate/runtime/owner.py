"""Who calls: a task, or the thread that waits for what a task does in its name.

A task is its own owner and no child of it is, which a context variable would not give: children
inherit those. The blocking face runs each call in a new task, and says for whom.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

Result = TypeVar("Result")

_IN_THE_NAME_OF: Final[dict[asyncio.Task[object], object]] = {}


def current_owner() -> object:
    """Return who calls; two that are equal are the same task or thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    if task is None:
        # The object and not its number, which another thread may get once this one has ended.
        return threading.current_thread()
    return _IN_THE_NAME_OF.get(task, task)


async def in_the_name_of(owner: object, function: Callable[[], Awaitable[Result]]) -> Result:
    """Do what `function` returns; in it `owner` is who calls."""
    task = asyncio.current_task()
    assert task is not None
    _IN_THE_NAME_OF[task] = owner
    try:
        return await function()
    finally:
        del _IN_THE_NAME_OF[task]

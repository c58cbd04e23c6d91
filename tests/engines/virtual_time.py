"""An event loop whose time jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class VirtualClock:
    """The Clock port in virtual time."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> int:
        return round(self.now * 1e9)

    def wall(self) -> int:
        return round(self.now * 1e9)


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits and no timer is set")
        self._clock.now += max(timeout, 0.0)
        return super().select(0)


def run(main: Callable[[VirtualClock], Coroutine[Any, Any, Result]]) -> Result:
    """Run `main` to its end in virtual time."""
    clock = VirtualClock()

    def new_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop(_JumpingSelector(clock))
        loop.time = lambda: clock.now  # type: ignore[method-assign]  # the loop runs on the fake clock
        return loop

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main(clock))

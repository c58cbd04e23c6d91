"""An asyncio event loop in virtual time, one for each simulated process.

Law: callbacks run in the order in which they were asked for. A process that is dead runs
nothing more, wherever it stood; a paused one runs late. Whatever would reach the real world
(sockets, threads, subprocesses, signals) is not here, so asking for it raises.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from random import Random
from typing import Any, TypeVar

from quorate.simulation.scheduler import MICROSECOND, SECOND, Event, Scheduler

Result = TypeVar("Result")
UNLIMITED = 1 << 62


class _Handle:
    """What asyncio's handle is, without what only its own loops need of it.

    One is made for every step of every task.
    """

    __slots__ = ("arguments", "callback", "context")

    def __init__(
        self,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.arguments = arguments
        self.context = contextvars.copy_context() if context is None else context

    def cancel(self) -> None:
        """Let it not happen; a timer is passed over when its time comes."""
        self.callback = None
        self.arguments = ()

    def cancelled(self) -> bool:
        """Whether it will not happen."""
        return self.callback is None


class _TimerHandle(_Handle):
    """One that is due at a time of the process's clock, in seconds."""

    __slots__ = ("_when",)

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        super().__init__(callback, arguments, context)
        self._when = when

    def when(self) -> float:
        """When it is due."""
        return self._when


class ProcessLoop(asyncio.AbstractEventLoop):
    """The loop of one process. Its clock may run fast or slow (`rate`, 1.0 is true)."""

    def __init__(self, scheduler: Scheduler, chance: Random, rate: float = 1.0) -> None:
        self._scheduler = scheduler
        self._chance = chance
        self._rate = rate
        self._born = scheduler.now
        # What comes from outside needs no handle, for nobody can take it back.
        self._ready: deque[_Handle | tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._turn: Event | None = None
        self._paused_until = 0
        self._budget = UNLIMITED
        self._slice_mean = 0
        self.alive = True
        self.failures: list[str] = []

    def preempt(self, slice_mean: int) -> None:
        """Let other things happen between callbacks, after about so many of them each time."""
        self._slice_mean = slice_mean
        self._budget = self._draw_slice()

    def pause(self, nanoseconds: int) -> None:
        """Stand still, as a machine under a long collection or a stopped process does."""
        self._paused_until = max(self._paused_until, self._scheduler.now + nanoseconds)

    def kill(self) -> None:
        """Stop for ever, between two callbacks."""
        self.alive = False
        self._ready.clear()

    @property
    def local_now(self) -> int:
        """The process's own monotonic clock, in nanoseconds."""
        elapsed = self._scheduler.now - self._born
        return self._born + int(elapsed * self._rate)

    def enter(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Run a callback from outside: something arrived."""
        self._ready.append((callback, arguments))
        if self._turn is None:
            self._run_turn()

    def start(self, coroutine: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        """Start a task from outside."""
        return asyncio.Task(coroutine, loop=self, name=name)

    def _schedule_turn(self, delay: int) -> None:
        if self._turn is None and self.alive:
            self._turn = self._scheduler.after(delay, self._run_turn)

    def _run_turn(self) -> None:
        self._turn = None
        if not self.alive:
            return
        if self._paused_until > self._scheduler.now:
            self._turn = self._scheduler.at(self._paused_until, self._run_turn)
            return
        ready = self._ready
        # What is asked for meanwhile waits in the queue, and no second turn is scheduled.
        self._turn = _RUNNING
        asyncio._set_running_loop(self)  # noqa: SLF001  the documented way for loops
        try:
            while ready:
                due = ready.popleft()
                try:
                    if isinstance(due, tuple):
                        due[0](*due[1])
                    elif due.callback is not None:
                        due.context.run(due.callback, *due.arguments)
                except Exception as error:  # noqa: BLE001  as a loop does, and it becomes a finding
                    self.call_exception_handler({"message": str(due), "exception": error})
                if self.is_closed():
                    return
                self._budget -= 1
                if self._budget <= 0:
                    self._budget = self._draw_slice()
                    break
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001  as above
            self._turn = None
        if ready:
            self._schedule_turn(self._chance.randrange(MICROSECOND, 500 * MICROSECOND))

    def _draw_slice(self) -> int:
        if not self._slice_mean:
            return UNLIMITED
        return 1 + int(self._chance.expovariate(1.0 / self._slice_mean))

    def time(self) -> float:
        """The process's own monotonic clock, in seconds."""
        return self.local_now / SECOND

    def call_soon(  # type: ignore[override]  # the stub ties arguments to the callback, and wants its handle
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        """Run a callback in this turn or the next."""
        handle = _Handle(callback, args, context)
        if self.alive:
            self._ready.append(handle)
            if self._turn is None:
                self._schedule_turn(0)
        return handle

    def call_later(  # type: ignore[override]  # the stub ties arguments to the callback, and wants its handle
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _TimerHandle:
        """Run a callback after `delay` seconds of the process's clock."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # the stub ties arguments to the callback, and wants its handle
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _TimerHandle:
        """Run a callback at a time of the process's clock."""
        handle = _TimerHandle(when, callback, args, context)
        # Never early: whoever looks at the clock then finds the time has come.
        local = int(when * SECOND) + 1 - self._born
        self._scheduler.at(self._born + int(local / self._rate) + 1, self._fire, handle)
        return handle

    def _fire(self, handle: _Handle) -> None:
        if self.alive and handle.callback is not None:
            self._ready.append(handle)
            if self._turn is None:
                self._run_turn()

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, Result] | Coroutine[Any, Any, Result],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Result]:
        """Start a task."""
        if not self.alive:
            coro.close()
            raise RuntimeError("the process is dead")
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def get_debug(self) -> bool:
        """Tell asyncio to keep no extra accounts."""
        return False

    def is_running(self) -> bool:
        """Whether a callback of this process is running now."""
        return self._turn is _RUNNING

    def is_closed(self) -> bool:
        """Whether the process has ended."""
        return not self.alive

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught: an unforeseen error in product code is a finding."""
        if self.alive:
            error = context.get("exception")
            self.failures.append(f"{context.get('message')}: {error!r}")


_RUNNING = Event(lambda: None, ())

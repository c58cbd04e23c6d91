"""Tasks that end with their owner, in order, and never silently."""

from __future__ import annotations

import asyncio

import pytest

from quorate.runtime.scope import TaskScope


def test_close_cancels_and_waits_in_the_order_of_spawning() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        scope = TaskScope(lambda name, _: seen.append(f"error in {name}"))

        async def work(name: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                seen.append(name)
                await asyncio.sleep(0)

        for name in ("first", "second", "third"):
            scope.spawn(work(name), name)
        await asyncio.sleep(0)
        await scope.close()
        assert len(scope) == 0
        await scope.close()
        with pytest.raises(RuntimeError, match="fourth"):
            scope.spawn(work("fourth"), "fourth")
        return seen

    assert asyncio.run(main()) == ["first", "second", "third"]


def test_failures_are_reported_and_results_returned() -> None:
    async def main() -> None:
        reported: asyncio.Queue[tuple[str, BaseException]] = asyncio.Queue()
        scope = TaskScope(lambda name, error: reported.put_nowait((name, error)))

        async def fail() -> None:
            raise ValueError("broken")

        async def answer() -> int:
            return 42

        scope.spawn(fail(), "failing")
        name, error = await reported.get()
        assert (name, str(error)) == ("failing", "broken")
        assert await scope.spawn(answer(), "answering") == 42
        await scope.close()
        assert reported.empty()

    asyncio.run(main())


def test_a_task_may_close_its_own_scope() -> None:
    async def main() -> None:
        errors: list[str] = []
        scope = TaskScope(lambda name, _: errors.append(name))
        other = scope.spawn(asyncio.Event().wait(), "other")
        await scope.spawn(scope.close(), "closing")
        assert other.cancelled()
        assert errors == []

    asyncio.run(main())

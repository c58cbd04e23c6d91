"""Waiting until something under a key or prefix changes."""

from __future__ import annotations

from quorate.errors import Compacted
from quorate.store.port import Store
from quorate.store.types import WatchRequest


async def changed(store: Store, start: bytes, end: bytes | None, revision: int) -> None:
    """Return once a key in [start, end) (`end` None: the key itself) changed after `revision`.

    It may return without a change when the history is gone: whoever calls it looks again.
    """
    watch = store.watch(WatchRequest(start, end, from_revision=revision + 1))
    try:
        async for batch in watch:
            if batch.events:
                return
    except Compacted:
        return
    finally:
        await watch.close()

"""Reading a key or a whole range, and waiting until something there changes."""

from __future__ import annotations

import msgspec

from quorate.errors import Compacted
from quorate.store.port import Store
from quorate.store.types import KeyValue, Range, RangeResult, WatchRequest


async def seen(store: Store, key: bytes) -> tuple[KeyValue | None, int]:
    """Return a key, and the store's revision at which it was so: wait for changes from there.

    From the key's own revision on the history may be gone.
    """
    found = await store.range(Range(key, key + b"\x00", limit=1))
    return (found.items[0] if found.items else None), found.revision


async def everything(store: Store, query: Range) -> tuple[list[KeyValue], int]:
    """Return all of a range in the order of its keys, over its pages, and the revision."""
    page = await store.range(query)
    return await rest(store, query, page), page.revision


async def rest(store: Store, query: Range, page: RangeResult) -> list[KeyValue]:
    """Return a range's items from its first page on, as of that page's revision."""
    items = list(page.items)
    while page.more:
        following = msgspec.structs.replace(
            query, start=items[-1].key + b"\x00", revision=page.revision
        )
        page = await store.range(following)
        items += page.items
    return items


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

"""Keys in a queue under a prefix, as etcd's locks and elections share them.

The key of a contender is `<name>/<lease in hex>`; whoever's key was created first is served
first. So contenders that come through etcd's API and our own recipes exclude each other.
Source: etcd 3.5, `client/v3/concurrency/{mutex,election,key}.go`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.engines.cluster import ClusterStore
from quorate.store.types import (
    Compare,
    CompareOperator,
    CompareTarget,
    Delete,
    Direction,
    EventKind,
    Get,
    KeyValue,
    Put,
    Range,
    RangeOrder,
    RangeResult,
    WatchRequest,
    prefix_end,
)

SESSION_TTL_SECONDS: Final = 60.0
"""The lease of a contender that brings none (concurrency.NewSession's default)."""


def contender_key(name: bytes, lease: int) -> bytes:
    """Return the key of whoever contends for a name with a lease."""
    return b"%s/%x" % (name, lease)


def first_of(name: bytes, revision: int = 0) -> Range:
    """Return the range that finds who is first."""
    prefix = name + b"/"
    return Range(
        prefix,
        prefix_end(prefix),
        limit=1,
        revision=revision,
        order=RangeOrder.CREATE_REVISION,
    )


class Place(NamedTuple):
    """A contender's place in the queue."""

    key: bytes
    created: int
    """The revision at which it was taken."""
    known: KeyValue | None
    """The own key, where the contender had one already."""
    leads: bool
    revision: int


async def enter(store: ClusterStore, name: bytes, value: bytes, lease: int) -> Place:
    """Take a place in the queue, or find the one taken before."""
    key = contender_key(name, lease)
    result = await store.commit(
        when=[Compare(key, CompareTarget.CREATE_REVISION, CompareOperator.EQUAL, 0)],
        then=[Put(key, value, lease), first_of(name)],
        otherwise=[Get(key), first_of(name)],
    )
    own, first = result.results
    assert isinstance(first, RangeResult)
    known = own if isinstance(own, KeyValue) else None
    created = known.create_revision if known is not None else result.revision
    leads = not first.items or first.items[0].create_revision == created
    return Place(key, created, known, leads, result.revision)


async def wait_first(store: ClusterStore, name: bytes, created: int) -> None:
    """Wait until nobody before the contender that came at revision `created` is left."""
    prefix = name + b"/"
    while True:
        before = await store.range(
            Range(
                prefix,
                prefix_end(prefix),
                limit=1,
                order=RangeOrder.CREATE_REVISION,
                direction=Direction.DESCENDING,
                max_create_revision=created - 1,
            )
        )
        if not before.items:
            return
        await wait_deleted(store, before.items[0].key, before.revision)


async def wait_deleted(store: ClusterStore, key: bytes, revision: int) -> None:
    """Wait until a key that was there at `revision` is deleted."""
    watch = store.watch(WatchRequest(key, from_revision=revision + 1))
    try:
        async for batch in watch:
            if any(event.kind is EventKind.DELETE for event in batch.events):
                return
    finally:
        await watch.close()


async def leave(store: ClusterStore, key: bytes, created: int) -> int:
    """Give a place up, if it is still the one that was taken; return the revision."""
    result = await store.commit(
        when=[Compare(key, CompareTarget.CREATE_REVISION, CompareOperator.EQUAL, created)],
        then=[Delete(key)],
    )
    return result.revision

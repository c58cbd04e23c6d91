"""Keys in a queue under a prefix, as etcd's locks and elections share them.

The key of a contender is `<name>/<lease in hex>`; whoever's key was created first is served
first. So contenders that come through etcd's API and our own recipes exclude each other.
Source: etcd 3.5, `client/v3/concurrency/{mutex,election,key}.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from quorate.engines.cluster import ClusterStore
from quorate.gateways.grpc.codes import Code, RpcError
from quorate.store.compare import create_revision
from quorate.store.types import (
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


def first_of(name: bytes) -> Range:
    """Return the range that finds who is first."""
    prefix = name + b"/"
    return Range(prefix, prefix_end(prefix), limit=1, order=RangeOrder.CREATE_REVISION)


class Place(NamedTuple):
    """A contender's place in the queue."""

    name: bytes
    key: bytes
    lease: int
    created: int
    """The revision at which it was taken."""
    known: KeyValue | None
    """The own key, where the contender had one already."""
    leads: bool


async def enter(store: ClusterStore, name: bytes, value: bytes, lease: int) -> Place:
    """Take a place in the queue, or find the one taken before; lease 0 gets one of a minute."""
    lease = lease or (await store.grant(SESSION_TTL_SECONDS)).id
    key = b"%s/%x" % (name, lease)
    result = await store.commit(
        when=[create_revision(key) == 0],
        then=[Put(key, value, lease), first_of(name)],
        otherwise=[Get(key), first_of(name)],
    )
    own, first = result.results
    assert isinstance(first, RangeResult)
    known = own if isinstance(own, KeyValue) else None
    created = known.create_revision if known is not None else result.revision
    leads = not first.items or first.items[0].create_revision == created
    return Place(name, key, lease, created, known, leads)


@asynccontextmanager
async def contending(store: ClusterStore, place: Place) -> AsyncIterator[None]:
    """Give the place up when the contender does: it must not stand in the others' way."""
    try:
        yield
    except asyncio.CancelledError:
        await leave(store, place.key, place.created)
        raise


async def first(store: ClusterStore, place: Place, expired: str) -> int:
    """Wait until nobody before the contender is left; return a revision at which it is first.

    Raises RpcError with the words `expired` when its key is gone by then: a lease that ended
    meanwhile must never seem to lead.
    """
    if not place.leads:
        await _wait_first(store, place)
    found = await store.range(Range(place.key, place.key + b"\0"))
    if not found.items or found.items[0].create_revision != place.created:
        raise RpcError(Code.UNKNOWN, expired)
    return found.revision


async def leave(store: ClusterStore, key: bytes, created: int) -> int:
    """Give a place up, if it is still the one that was taken; return the revision."""
    when = [create_revision(key) == created]
    return (await store.commit(when=when, then=[Delete(key)])).revision


async def _wait_first(store: ClusterStore, place: Place) -> None:
    prefix = place.name + b"/"
    earlier = Range(
        prefix,
        prefix_end(prefix),
        limit=1,
        order=RangeOrder.CREATE_REVISION,
        direction=Direction.DESCENDING,
        max_create_revision=place.created - 1,
    )
    while (before := await store.range(earlier)).items:
        await _wait_deleted(store, before.items[0].key, before.revision)


async def _wait_deleted(store: ClusterStore, key: bytes, revision: int) -> None:
    """Wait until a key that was there at `revision` is deleted."""
    watch = store.watch(WatchRequest(key, from_revision=revision + 1))
    try:
        async for batch in watch:
            if any(event.kind is EventKind.DELETE for event in batch.events):
                return
    finally:
        await watch.close()

"""Gets and ranges over the history, now or as it was.

Law: a page depends on the state and the limits only, and holds at least one item if any
item matches: who pages on always gets further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from quorate.kv.history import History
from quorate.kv.refuse import check_revision, empty_key
from quorate.store.limits import Limits
from quorate.store.types import (
    Content,
    Direction,
    Get,
    KeyValue,
    Range,
    RangeOrder,
    RangeResult,
)

_ITEM_BYTES: Final = 40
"""What an item takes on the wire beside its key and value, at most."""

_SORT_KEYS: Final[dict[RangeOrder, Callable[[KeyValue], Any]]] = {
    RangeOrder.VERSION: attrgetter("version"),
    RangeOrder.CREATE_REVISION: attrgetter("create_revision"),
    RangeOrder.MOD_REVISION: attrgetter("mod_revision"),
    RangeOrder.VALUE: attrgetter("value"),
}


def get(history: History, query: Get) -> KeyValue | None:
    """Return a key's version, now or at a revision. Raises `CommandRefusedError`."""
    if not query.key:
        raise empty_key()
    if query.revision <= 0:
        return history.live.get(query.key)
    check_revision(query.revision, history.revision, history.compact_revision)
    return history.at(query.key, query.revision)


def read_range(history: History, query: Range, limits: Limits, page_bytes: int) -> RangeResult:
    """Return one page of at most about `page_bytes`. Raises `CommandRefusedError`."""
    revision = query.revision
    past = False
    if revision > 0:
        check_revision(revision, history.revision, history.compact_revision)
        past = revision < history.newest_revision
    else:
        revision = history.revision
    filtered = _filtered(query)
    if not past and not filtered and query.order is RangeOrder.KEY:
        count = history.count(query.start, query.end)
        if query.content is Content.COUNT:
            return RangeResult((), count, revision)
        if query.direction is Direction.DESCENDING:
            versions = history.live_descending(query.start, query.end)
        else:
            versions = history.live_ascending(query.start, query.end)
        return _page(versions, count, revision, query, _page_limits(query, limits, page_bytes))
    if past:
        versions = history.versions_at(query.start, query.end, revision)
    else:
        versions = history.live_ascending(query.start, query.end)
    if filtered:
        versions = _filter(versions, query)
    found = list(versions)
    if query.content is Content.COUNT:
        return RangeResult((), len(found), revision)
    _sort(found, query)
    return _page(iter(found), len(found), revision, query, _page_limits(query, limits, page_bytes))


def _page_limits(query: Range, limits: Limits, page_bytes: int) -> tuple[int, int]:
    items = limits.page_items
    if 0 < query.limit < items:
        items = query.limit
    return items, page_bytes


def _filtered(query: Range) -> bool:
    return (
        query.min_mod_revision > 0
        or query.max_mod_revision > 0
        or query.min_create_revision > 0
        or query.max_create_revision > 0
    )


def _filter(versions: Iterator[KeyValue], query: Range) -> Iterator[KeyValue]:
    low, high = query.min_mod_revision, query.max_mod_revision
    first, last = query.min_create_revision, query.max_create_revision
    for version in versions:
        if version.mod_revision < low or version.create_revision < first:
            continue
        if 0 < high < version.mod_revision or 0 < last < version.create_revision:
            continue
        yield version


def _sort(found: list[KeyValue], query: Range) -> None:
    """Sort versions that are in the order of keys; equal ones keep that order."""
    descending = query.direction is Direction.DESCENDING
    sort_key = _SORT_KEYS.get(query.order)
    if sort_key is not None:
        found.sort(key=sort_key, reverse=descending)
    elif descending:
        found.reverse()


def _page(
    versions: Iterator[KeyValue],
    count: int,
    revision: int,
    query: Range,
    page_limits: tuple[int, int],
) -> RangeResult:
    limit, room = page_limits
    keys_only = query.content is Content.KEYS
    items: list[KeyValue] = []
    for version in islice(versions, limit):
        item = _without_value(version) if keys_only else version
        room -= _ITEM_BYTES + len(item.key) + len(item.value)
        if room < 0 and items:
            break
        items.append(item)
    return RangeResult(tuple(items), count, revision, len(items) < count)


def _without_value(version: KeyValue) -> KeyValue:
    return KeyValue(
        version.key,
        b"",
        version.create_revision,
        version.mod_revision,
        version.version,
        version.lease,
    )


def result_bytes(result: RangeResult) -> int:
    """Return about how many bytes a page takes on the wire."""
    return sum(_ITEM_BYTES + len(item.key) + len(item.value) for item in result.items)

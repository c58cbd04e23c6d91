"""A range's orders, filters and limits, on what was read: ZooKeeper itself has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from quorate.codecs.zookeeper.records import Operation
from quorate.engines.zookeeper.tree import Node, Picture, key_value
from quorate.store.types import Content, Direction, KeyValue, Range, RangeOrder, RangeResult

_BY: Final[dict[RangeOrder, Callable[[Node], Any]]] = {
    RangeOrder.KEY: lambda node: node.key,
    RangeOrder.VERSION: lambda node: node.stat.version,
    RangeOrder.CREATE_REVISION: lambda node: node.stat.created,
    RangeOrder.MOD_REVISION: lambda node: node.stat.modified,
    RangeOrder.VALUE: lambda node: node.value,
}


def reading_for(query: Range) -> Operation:
    """Return how each node must be read."""
    values = query.content is Content.FULL or query.order is RangeOrder.VALUE
    return Operation.GET_DATA if values else Operation.EXISTS


def page_of(picture: Picture, query: Range) -> RangeResult:
    """Return what a range asks for of what was read."""
    nodes = [node for node in picture.nodes if _is_wanted(node, query)]
    if query.content is Content.COUNT:
        return RangeResult((), len(nodes), picture.revision)
    nodes.sort(key=_BY[query.order], reverse=query.direction is Direction.DESCENDING)
    taken = nodes[: query.limit] if query.limit else nodes
    items = tuple(_item(node, query.content) for node in taken)
    return RangeResult(items, len(nodes), picture.revision, len(taken) < len(nodes))


def _item(node: Node, content: Content) -> KeyValue:
    return key_value(node if content is Content.FULL else node._replace(value=b""))


def _is_wanted(node: Node, query: Range) -> bool:
    stat = node.stat
    return (
        stat.modified >= query.min_mod_revision
        and (not query.max_mod_revision or stat.modified <= query.max_mod_revision)
        and stat.created >= query.min_create_revision
        and (not query.max_create_revision or stat.created <= query.max_create_revision)
    )

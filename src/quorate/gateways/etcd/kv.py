"""The KV service: ranges, puts, deletions, transactions, compaction.

Law: every answer's header holds a revision at which the answer is true. A range that is larger
than a page is put together of pages of one revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from quorate.codecs.etcd import failures
from quorate.codecs.etcd.messages import MESSAGES
from quorate.errors import LeaseNotFound
from quorate.gateways.etcd.checks import (
    check_delete,
    check_put,
    check_range,
    check_transaction,
)
from quorate.gateways.etcd.commits import (
    NO_LEASE,
    PRESENT,
    Held,
    guarded,
    kept_keys,
    plan_delete,
    plan_put,
    plan_transaction,
)
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.refusals import refuse
from quorate.gateways.etcd.translation import (
    SORT_KEYS,
    consistency_of,
    count_of,
    cut_first,
    is_filtered,
    range_of,
    range_response,
    sorted_after_cut,
    without_value,
)
from quorate.store.port import Store
from quorate.store.types import (
    Commit,
    CommitResult,
    Content,
    Direction,
    Get,
    KeyValue,
    Put,
    Range,
    RangeOrder,
    RangeResult,
    ReadConsistency,
)

_PutResponse: Final = MESSAGES["PutResponse"]
_CompactionResponse: Final = MESSAGES["CompactionResponse"]


class KvService:
    """etcd's KV over a store."""

    def __init__(self, store: Store, headers: Headers) -> None:
        self._store = store
        self._headers = headers

    async def range(self, request: Any) -> Any:
        """Read keys, as fresh as the request wants."""
        check_range(request)
        query, consistency = range_of(request), consistency_of(request)
        reading = self._store.range(query, consistency=consistency)
        if query.revision > 0:
            # Both share one round: the header tells of the present, the keys are of the past.
            present = self._store.range(PRESENT, consistency=consistency)
            result, now = await asyncio.gather(reading, present)
            revision = now.revision
        else:
            result = await reading
            revision = result.revision
        if result.more and (not query.limit or len(result.items) < query.limit):
            result = await self._complete(query, consistency, result)
        count = result.count
        if is_filtered(request):
            counted = count_of(query, result.revision)
            count = (await self._store.range(counted, consistency=consistency)).count
        if cut_first(request):
            result = sorted_after_cut(request, result)
        return range_response(result, count, self._headers.at(revision))

    async def put(self, request: Any) -> Any:
        """Write one key."""
        check_put(request)
        keeps = request.ignore_value or request.ignore_lease
        if not keeps and not request.prev_kv:
            revision = await self._store.put(request.key, request.value, lease=request.lease)
            return _PutResponse(header=self._headers.at(revision))
        step = plan_put(request, {})
        if keeps:
            result = await self._keeping([request.key], lambda held: _put_alone(request, held))
        else:
            result = await self._store.commit(then=step.operations)
        answer = step.answer(iter(result.results))
        answer.header.CopyFrom(self._headers.at(result.revision))
        return answer

    async def delete_range(self, request: Any) -> Any:
        """Delete one key, or a range of them."""
        check_delete(request)
        step = plan_delete(request)
        result = await self._store.commit(then=step.operations)
        answer = step.answer(iter(result.results))
        answer.header.CopyFrom(self._headers.at(result.revision))
        return answer

    async def transaction(self, request: Any) -> Any:
        """Run one branch, by its conditions, atomically."""
        check_transaction(request)
        planned = plan_transaction(request, {})
        kept = kept_keys((*request.success, *request.failure))
        if kept:
            result = await self._keeping(kept, lambda held: plan_transaction(request, held).commit)
        else:
            commit = planned.commit
            result = await self._store.commit(
                when=commit.when, then=commit.then, otherwise=commit.otherwise
            )
        answer = planned.answer(result)
        answer.header.CopyFrom(self._headers.at(result.revision))
        return answer

    async def compact(self, request: Any) -> Any:
        """Forget what was replaced up to a revision; forgetting takes no time here."""
        if request.revision < 0:
            raise refuse(failures.COMPACTED)
        if request.revision:
            await self._store.compact(request.revision)
        return _CompactionResponse(header=self._headers.latest())

    async def _keeping(self, keys: list[bytes], commit: Callable[[Held], Commit]) -> CommitResult:
        """Run a commit that depends on what some keys have, as if it read them itself."""
        while True:
            read = await self._store.commit(then=[Get(key) for key in keys])
            held: Held = dict(zip(keys, read.results, strict=True))  # type: ignore[arg-type]  # a get's result
            outer = guarded(commit(held), held)
            result = await self._nothing_kept(self._store.commit(when=outer.when, then=outer.then))
            if result.succeeded:
                inner = result.results[0]
                assert isinstance(inner, CommitResult)
                return inner

    async def _nothing_kept(self, commit: Awaitable[CommitResult]) -> CommitResult:
        try:
            return await commit
        except LeaseNotFound as error:
            if f"{NO_LEASE:x}" in str(error):
                raise refuse(failures.KEY_NOT_FOUND) from None
            raise

    async def _complete(
        self, query: Range, consistency: ReadConsistency, first: RangeResult
    ) -> RangeResult:
        """Read all pages, at the first one's revision, in the order of keys; sort here."""
        page = msgspec.structs.replace(
            query,
            limit=0,
            revision=first.revision,
            order=RangeOrder.KEY,
            direction=Direction.ASCENDING,
            content=Content.FULL if query.order is RangeOrder.VALUE else query.content,
        )
        items: list[KeyValue] = []
        more = True
        while more:
            result = await self._store.range(page, consistency=consistency)
            items += result.items
            more = result.more and bool(result.items)
            if more:
                page = msgspec.structs.replace(page, start=result.items[-1].key + b"\0")
        items.sort(key=SORT_KEYS[query.order], reverse=query.direction is Direction.DESCENDING)
        limit = query.limit or len(items)
        more = len(items) > limit
        del items[limit:]
        if query.content is Content.KEYS:
            items = [without_value(item) for item in items]
        return RangeResult(tuple(items), first.count, first.revision, more)


def _put_alone(request: Any, held: Held) -> Commit:
    operations = plan_put(request, held).operations
    if request.lease and held[request.key] is None:
        # Refused in any case, but a put that stands alone for its lease first.
        operations = (Put(request.key + b"\0", b"", request.lease), *operations)
    return Commit(then=operations)

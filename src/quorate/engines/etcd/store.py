"""`EtcdStore`: the Store port on etcd 3.4 or later, over gRPC."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Final

from grpc.aio import AioRpcError

from quorate.codecs.etcd.messages import MESSAGES
from quorate.engines.etcd.endpoints import Endpoints
from quorate.engines.etcd.errors import is_compacted
from quorate.engines.etcd.translation import (
    FROM_KEY,
    checked,
    commit_request,
    commit_result,
    delete_request,
    get_request,
    key_value,
    put_request,
    range_request,
    range_result,
)
from quorate.engines.etcd.watching import EtcdWatches
from quorate.engines.resumable import ResumableWatch
from quorate.errors import (
    Compacted,
    InvalidRequest,
    LeaseNotFound,
    LimitExceeded,
    OutcomeUnknown,
    Unavailable,
)
from quorate.runtime.scope import TaskScope
from quorate.runtime.transport.tls import TlsConfig
from quorate.store.limits import Limits
from quorate.store.port import Capabilities
from quorate.store.types import (
    CommitResult,
    Compare,
    CompareOperator,
    CompareTarget,
    Content,
    Delete,
    DeleteRange,
    DeleteResult,
    Enqueued,
    Grant,
    KeyValue,
    LeaseStatus,
    Operation,
    Put,
    Range,
    RangeResult,
    ReadConsistency,
    WatchRequest,
    prefix_end,
)

logger: logging.Logger = logging.getLogger("quorate.client")
LIMITS: Final = Limits()
LEASE_TTL_MAX: Final = 9_000_000_000
"""What etcd itself takes, in seconds."""


class EtcdStore:
    """A store on the etcd servers at `addresses` ("host:port"). Make it inside a running loop.

    `timeout` (seconds) bounds every call. etcd has no sessions of its own: a write whose
    answer was lost raises OutcomeUnknown, where a cluster of ours would find it out.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        tls: TlsConfig | None = None,
        user: tuple[str, str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._endpoints = Endpoints(addresses, tls=tls, user=user, timeout=timeout)
        self._scope = TaskScope(_failed)
        self._watches = EtcdWatches(self._endpoints, self._scope)
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        return Capabilities(engine="etcd", exactly_once=False)

    @property
    def limits_value_bytes(self) -> int:
        """The largest value in bytes; a request of etcd's has 1.5 MiB."""
        return LIMITS.value_bytes

    async def get(
        self,
        key: bytes,
        *,
        revision: int = 0,
        consistency: ReadConsistency = ReadConsistency.LINEARIZABLE,
    ) -> KeyValue | None:
        """Return the key's version, now or at `revision`; None when it is absent."""
        answer = await self._read(get_request(key, revision, consistency))
        return key_value(answer.kvs[0]) if answer.kvs else None

    async def range(
        self, query: Range, *, consistency: ReadConsistency = ReadConsistency.LINEARIZABLE
    ) -> RangeResult:
        """Return one page of a range."""
        return range_result(await self._read(range_request(query, consistency, LIMITS.page_items)))

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        """Write one key and return the revision."""
        put = Put(key, value, lease)
        _check(put)
        answer = await self._tell("KV/Put", put_request(put))
        revision: int = answer.header.revision
        return revision

    async def delete(self, key: bytes) -> DeleteResult:
        """Delete one key."""
        answer = await self._tell("KV/DeleteRange", delete_request(Delete(key)))
        return DeleteResult(answer.deleted, answer.header.revision)

    async def delete_range(self, start: bytes, end: bytes) -> DeleteResult:
        """Delete the keys in [start, end); an empty `end` means no upper bound."""
        answer = await self._tell("KV/DeleteRange", delete_request(DeleteRange(start, end)))
        return DeleteResult(answer.deleted, answer.header.revision)

    async def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
    ) -> CommitResult:
        """Run one branch atomically."""
        for operation in (*then, *otherwise):
            if isinstance(operation, Put):
                _check(operation)
        request = commit_request(when, then, otherwise, LIMITS.page_items)
        return commit_result(await self._tell("KV/Txn", request), then, otherwise)

    async def enqueue(self, prefix: bytes, value: bytes, *, lease: int = 0) -> Enqueued:
        """Create a new key under `prefix`, after every other that was enqueued there.

        The order is above the revision at which the queue was looked at, and counts only if
        nobody enqueued since.
        """
        query = Range(prefix, prefix_end(prefix), limit=1, content=Content.COUNT)
        while True:
            order = (await self.range(query)).revision + 1
            key = prefix + b"%016x" % order
            unchanged = Compare(
                prefix,
                CompareTarget.CREATE_REVISION,
                CompareOperator.LESS,
                order,
                end=prefix_end(prefix),
            )
            result = await self.commit(when=[unchanged], then=[Put(key, value, lease)])
            if result.succeeded:
                return Enqueued(key, order)

    async def grant(self, ttl: float) -> Grant:
        """Grant a lease of at least `ttl` seconds: etcd counts whole ones."""
        seconds = min(max(math.ceil(ttl), 1), LEASE_TTL_MAX)
        # One that was granted twice ends by itself, since nobody knows of it.
        answer = await self._ask("Lease/LeaseGrant", MESSAGES["LeaseGrantRequest"](TTL=seconds))
        return Grant(answer.ID, float(answer.TTL))

    async def keep_alive(self, lease: int) -> float:
        """Renew a lease and return its ttl in seconds, counted from before the call was sent."""
        answer = await self._ask(
            "Lease/LeaseKeepAlive", MESSAGES["LeaseKeepAliveRequest"](ID=lease)
        )
        if answer.TTL <= 0:
            raise _no_lease(lease)
        return float(answer.TTL)

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys in one step."""
        request = MESSAGES["LeaseRevokeRequest"](ID=lease)
        try:
            await self._tell("Lease/LeaseRevoke", request)
        except OutcomeUnknown:
            # Done twice it is as good as once; then it may be gone already.
            try:
                await self._ask("Lease/LeaseRevoke", request)
            except LeaseNotFound:
                return

    async def time_to_live(self, lease: int) -> LeaseStatus:
        """Return what remains of a lease, and its keys."""
        request = MESSAGES["LeaseTimeToLiveRequest"](ID=lease, keys=True)
        answer = await self._ask("Lease/LeaseTimeToLive", request)
        if answer.TTL < 0:
            raise _no_lease(lease)
        keys = tuple(sorted(answer.keys))
        return LeaseStatus(lease, float(answer.grantedTTL), float(answer.TTL), keys)

    def watch(self, request: WatchRequest) -> ResumableWatch:
        """Watch a key or a range."""
        self._check_open()
        return self._watches.watch(request)

    async def compact(self, revision: int) -> None:
        """Forget versions that were replaced at or before `revision`."""
        try:
            await self._ask("KV/Compact", MESSAGES["CompactionRequest"](revision=revision))
        except AioRpcError as error:
            raise await self._compacted(error) from error

    async def close(self) -> None:
        """Close every watch and connection; further calls raise."""
        self._closed = True
        for watch in self._watches.close():
            await watch.close()
        await self._scope.close()
        await self._endpoints.close()

    async def _read(self, request: Any) -> Any:
        try:
            return await self._ask("KV/Range", request)
        except AioRpcError as error:
            raise await self._compacted(error) from error

    async def _ask(self, method: str, request: Any) -> Any:
        self._check_open()
        return await self._endpoints.ask(method, request)

    async def _tell(self, method: str, request: Any) -> Any:
        self._check_open()
        return await self._endpoints.tell(method, request)

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequest("this store is closed")

    async def _compacted(self, error: AioRpcError) -> Exception:
        """Return the error of a compacted revision; only a watch is told which one that is."""
        if not is_compacted(error):
            return Unavailable(f"etcd: {error.details()}")
        watch = self._watches.watch(WatchRequest(FROM_KEY, from_revision=1))
        try:
            async for _ in watch:
                continue
        except Compacted as found:
            return found
        finally:
            await watch.close()
        return Unavailable(f"etcd: {error.details()}")


def _failed(name: str, error: BaseException) -> None:
    logger.error("%s failed", name, exc_info=error)


def _check(put: Put) -> None:
    checked(put.key)
    if len(put.value) > LIMITS.value_bytes:
        raise LimitExceeded(
            f"the value of {put.key[:80]!r} has {len(put.value)} bytes: at most "
            f"{LIMITS.value_bytes} are taken"
        )


def _no_lease(lease: int) -> LeaseNotFound:
    return LeaseNotFound(f"lease {lease:x} ended, or never was")

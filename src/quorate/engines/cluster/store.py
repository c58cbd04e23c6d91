"""`ClusterStore`: the Store port over a cluster of Quorate nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from quorate.engines.cluster.link import Link, Pending
from quorate.engines.cluster.saving import SnapshotStream
from quorate.engines.cluster.watching import Watches
from quorate.engines.cluster.writes import Writer
from quorate.engines.resumable import ResumableWatch
from quorate.errors import (
    FutureRevision,
    InvalidRequest,
    LeaseNotFound,
    LimitExceeded,
    OutcomeUnknown,
    Unavailable,
)
from quorate.kv.commands import Compact, Enqueue, GrantLease, Refusal, RevokeLease
from quorate.kv.refusals import error_of
from quorate.kv.requests import (
    AskLeases,
    AskMembers,
    AskStatus,
    ChangeMembers,
    Done,
    Failed,
    KeepAlive,
    KeptAlive,
    LeaseAnswer,
    LeaseList,
    Members,
    ReadAll,
    ReadDone,
    Response,
    Status,
    TimeToLive,
    TransferLeadership,
    WatchEvents,
    encode,
)
from quorate.protocol.raft.configuration import Change, encode_configuration
from quorate.runtime.ports import Ports
from quorate.runtime.real_ports import real_ports
from quorate.runtime.scope import TaskScope
from quorate.runtime.transport.connection import ConnectionLimits
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.tls import ReloadingContext, TlsConfig
from quorate.store.limits import Limits
from quorate.store.port import Capabilities
from quorate.store.types import (
    Commit,
    CommitResult,
    Compare,
    Delete,
    DeleteRange,
    DeleteResult,
    Enqueued,
    Get,
    Grant,
    KeyValue,
    LeaseStatus,
    Operation,
    Put,
    Range,
    RangeResult,
    ReadConsistency,
    WatchRequest,
)

logger = logging.getLogger("quorate.client")
Answer = TypeVar("Answer")
SECOND: Final = 1_000_000_000
DEADLINE_SECONDS: Final = 10.0
DIAL_TIMEOUT_SECONDS: Final = 1.0
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024


class ClusterStore:
    """A client's view of the cluster. Make it inside a running event loop.

    `timeout` (seconds) is the deadline of every call, over all retries and failovers.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        tls: TlsConfig | None = None,
        timeout: float = DEADLINE_SECONDS,
        limits: Limits | None = None,
        ports: Ports | None = None,
    ) -> None:
        if not addresses:
            raise InvalidRequest("a cluster URL names at least one node: quorate://host:port")
        self._limits = limits or Limits()
        ports = ports or real_ports()
        self._clock = ports.clock
        self._randomness = ports.randomness
        self._timeout = int(timeout * SECOND)
        self._loop = asyncio.get_running_loop()
        self._scope = TaskScope(self._failed)
        self._link = Link(
            addresses,
            dialer=Dialer(
                ports.network,
                ReloadingContext.for_client(tls) if tls else None,
                ConnectionLimits(
                    frame_bytes=FRAME_BYTES_MAX, handshake_seconds=DIAL_TIMEOUT_SECONDS
                ),
            ),
            clock=self._clock,
            randomness=self._randomness,
            scope=self._scope,
        )
        self._writer = Writer(
            self._link,
            clock=self._clock,
            randomness=self._randomness,
            limits=self._limits,
            timeout=timeout,
        )
        self._watches = Watches(self._link)
        self._link.on_events = self._on_events
        self._link.on_connected = self._watches.reopen
        self._reads: list[Get | Range] = []
        self._read_futures: list[asyncio.Future[Any]] = []

    @property
    def capabilities(self) -> Capabilities:
        """Everything that the port knows."""
        return Capabilities(engine="quorate")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it looks for the cluster: the members it has heard of, and those of its URL."""
        return self._link.addresses

    @property
    def limits_value_bytes(self) -> int:
        """The largest value in bytes."""
        return self._limits.value_bytes

    async def get(
        self,
        key: bytes,
        *,
        revision: int = 0,
        consistency: ReadConsistency = ReadConsistency.LINEARIZABLE,
    ) -> KeyValue | None:
        """Return the key's version, now or at `revision`."""
        self._check_key(key)
        found = await self._read(Get(key, revision), consistency)
        assert found is None or type(found) is KeyValue
        return found

    async def range(
        self, query: Range, *, consistency: ReadConsistency = ReadConsistency.LINEARIZABLE
    ) -> RangeResult:
        """Return one page of a range."""
        found = await self._read(query, consistency)
        assert type(found) is RangeResult
        return found

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        """Write one key and return the revision."""
        self._check_key(key)
        if len(value) > self._limits.value_bytes:
            raise LimitExceeded(
                f"the value of {key!r} has {len(value)} bytes, the limit is "
                f"{self._limits.value_bytes}: split it, or keep it elsewhere"
            )
        return await self._writer.put(Put(key, value, lease))

    async def delete(self, key: bytes) -> DeleteResult:
        """Delete one key."""
        self._check_key(key)
        result: DeleteResult = await self._writer.write(Delete(key), len(key))
        return result

    async def delete_range(self, start: bytes, end: bytes) -> DeleteResult:
        """Delete the keys in [start, end)."""
        size = len(start) + len(end)
        result: DeleteResult = await self._writer.write(DeleteRange(start, end), size)
        return result

    async def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
    ) -> CommitResult:
        """Run one branch atomically."""
        command = Commit(tuple(when), tuple(then), tuple(otherwise))
        size = len(encode(command))
        if size > self._limits.commit_bytes:
            raise LimitExceeded(
                f"the commit has {size} bytes, the limit is {self._limits.commit_bytes}: split it"
            )
        result: CommitResult = await self._writer.write(command, size)
        return result

    async def enqueue(self, prefix: bytes, value: bytes, *, lease: int = 0) -> Enqueued:
        """Create a new key under `prefix`, after every other that was enqueued there."""
        size = len(prefix) + len(value)
        result: Enqueued = await self._writer.write(Enqueue(prefix, value, lease), size)
        return result

    async def grant(self, ttl: float) -> Grant:
        """Grant a lease of `ttl` seconds, within the limits."""
        return await self.grant_lease(self._randomness.bits(62) + 1, ttl)

    async def grant_lease(self, lease: int, ttl: float) -> Grant:
        """Grant a lease with an id of the caller's; raises LeaseExists when one has it."""
        given = min(max(ttl, self._limits.lease_ttl_min), self._limits.lease_ttl_max)
        await self._writer.write(GrantLease(lease, int(given * 1000)), 32)
        return Grant(lease, int(given * 1000) / 1000)

    async def keep_alive(self, lease: int) -> float:
        """Renew a lease and return its ttl in seconds."""
        answer = await self._ask(lambda request: KeepAlive(request, (lease,)), KeptAlive)
        if not answer.ttls_ms[0]:
            raise LeaseNotFound(f"lease {lease:x} ended: grant a new one")
        return answer.ttls_ms[0] / 1000

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys in one step."""
        await self._writer.write(RevokeLease(lease), 32)

    async def time_to_live(self, lease: int) -> LeaseStatus:
        """Return what remains of a lease, and its keys."""
        return (await self._ask(lambda request: TimeToLive(request, lease), LeaseAnswer)).status

    async def leases(self) -> tuple[int, ...]:
        """Return the ids of all leases, those that end soonest first."""
        return (await self._ask(AskLeases, LeaseList)).leases

    def watch(self, request: WatchRequest) -> ResumableWatch:
        """Watch a key or a range."""
        self._check_key(request.key if request.end is None else b"-")
        return self._watches.watch(request)

    async def compact(self, revision: int) -> None:
        """Forget versions that were replaced at or before `revision`."""
        if revision < 1:
            raise FutureRevision(f"there is no revision {revision}: the first is 1")
        await self._writer.write(Compact(revision), 32)

    async def members(self) -> Members:
        """Return who belongs to the cluster."""
        return await self._ask(AskMembers, Members)

    async def change_members(self, change: Change) -> None:
        """Change who belongs to the cluster. Never sent twice: see the error if it is lost."""
        encoded = encode_configuration(change)
        await self._ask_once(lambda request: ChangeMembers(request, encoded), Done)

    async def transfer_leadership(self, target: int = 0) -> None:
        """Hand leadership to a member (0: to whom the leader finds best)."""
        await self._ask_once(lambda request: TransferLeadership(request, target), Done)

    async def status(self) -> Status:
        """Return how the leader is."""
        return await self._ask(AskStatus, Status)

    def save_snapshot(self) -> SnapshotStream:
        """Return the state as of now, as a stream that has not begun."""
        return SnapshotStream(self._link, self._clock, self._timeout)

    async def close(self) -> None:
        """Close every watch and the connection."""
        for watch in self._watches.close():
            await watch.close()
        await self._link.close()
        await self._scope.close()

    def _failed(self, name: str, error: BaseException) -> None:
        logger.error("%s failed", name, exc_info=error)

    def _check_key(self, key: bytes) -> None:
        if not key:
            raise InvalidRequest("a key has at least one byte")
        if len(key) > self._limits.key_bytes:
            raise LimitExceeded(
                f"a key of {len(key)} bytes is over the limit of {self._limits.key_bytes}"
            )

    def _on_events(self, events: WatchEvents) -> None:
        for identifier, batch in events.batches:
            self._watches.deliver(identifier, batch)

    async def _read(
        self, operation: Get | Range, consistency: ReadConsistency
    ) -> KeyValue | RangeResult | None:
        if consistency is ReadConsistency.STALE:
            answer = await self._ask(
                lambda request: ReadAll(request, consistency, (operation,)), ReadDone
            )
            result = answer.results[0]
            if isinstance(result, Refusal):
                raise error_of(result)
            return result
        future = self._loop.create_future()
        if not self._reads:
            self._loop.call_soon(self._flush_reads)
        self._reads.append(operation)
        self._read_futures.append(future)
        found: KeyValue | RangeResult | None = await future
        return found

    def _flush_reads(self) -> None:
        operations, self._reads = tuple(self._reads), []
        futures, self._read_futures = self._read_futures, []

        def payload(request: int) -> bytes:
            return encode(ReadAll(request, ReadConsistency.LINEARIZABLE, operations))

        def succeed(response: Response) -> None:
            assert type(response) is ReadDone
            for future, result in zip(futures, response.results, strict=True):
                if future.done():
                    continue
                if type(result) is Refusal:
                    future.set_exception(error_of(result))
                else:
                    future.set_result(result)

        def fail(_: Pending, failed: Failed | None) -> None:
            error = error_of(failed.refusal) if failed else Unavailable(self._link.explain())
            for future in futures:
                if not future.done():
                    future.set_exception(error)

        pending = Pending(payload, succeed, fail, self._clock.monotonic() + self._timeout)
        try:
            self._link.submit(pending)
        except Unavailable:
            fail(pending, None)

    async def _ask(self, request: Any, answer: type[Answer]) -> Answer:
        """Send a request that may be sent again, and return its answer."""
        return await self._submit(self._asking(request, answer))

    async def _ask_once(self, request: Any, answer: type[Answer]) -> Answer:
        """Send a request that must not be sent twice, and return its answer."""
        asking = self._asking(request, answer)
        asking[0].resend = False
        return await self._submit(asking)

    def _asking(self, request: Any, answer: type[Answer]) -> tuple[Pending, asyncio.Future[Answer]]:
        future: asyncio.Future[Answer] = self._loop.create_future()

        def succeed(response: Response) -> None:
            if not future.done():
                assert isinstance(response, answer)
                future.set_result(response)

        def fail(pending: Pending, failed: Failed | None) -> None:
            if future.done():
                return
            if failed is not None:
                future.set_exception(error_of(failed.refusal))
            elif pending.sent and not pending.resend:
                future.set_exception(
                    OutcomeUnknown("the answer was lost: look at the members before trying again")
                )
            else:
                future.set_exception(Unavailable(self._link.explain()))

        deadline = self._clock.monotonic() + self._timeout
        return Pending(lambda number: encode(request(number)), succeed, fail, deadline), future

    async def _submit(self, asking: tuple[Pending, asyncio.Future[Answer]]) -> Answer:
        self._link.submit(asking[0])
        return await asking[1]

"""`ZooKeeperStore`: the Store port on ZooKeeper 3.6 or later, over its own protocol.

Keys are nodes, revisions are zxids, a lease is a session and its keys are ephemeral nodes, a
commit is a multi. What that model cannot express is refused: see `CAPABILITIES`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from quorate.codecs.zookeeper import records
from quorate.codecs.zookeeper.records import ANYONE, CREATOR, Code, CreateMode, Operation
from quorate.engines.resumable import ResumableWatch
from quorate.engines.zookeeper.commits import Plan, Sight, holds, plan
from quorate.engines.zookeeper.connection import Reply, Request
from quorate.engines.zookeeper.errors import refusal
from quorate.engines.zookeeper.leases import LeaseSessions
from quorate.engines.zookeeper.paths import Paths, parent_of
from quorate.engines.zookeeper.querying import page_of, reading_for
from quorate.engines.zookeeper.servers import Servers
from quorate.engines.zookeeper.session import LastingSession, Session
from quorate.engines.zookeeper.shape import (
    CAPABILITIES,
    VALUE_BYTES,
    check_commit,
    check_key,
    check_put,
    unsupported,
)
from quorate.engines.zookeeper.tree import DIRECTORY, Tree
from quorate.engines.zookeeper.watching import Watches
from quorate.errors import InvalidRequest, Unavailable
from quorate.runtime.ports import Ports
from quorate.runtime.real_ports import real_ports
from quorate.runtime.scope import TaskScope
from quorate.runtime.transport.tls import TlsConfig
from quorate.store.port import Capabilities
from quorate.store.types import (
    CommitResult,
    Compare,
    Delete,
    DeleteResult,
    Enqueued,
    Grant,
    KeyValue,
    LeaseStatus,
    Put,
    Range,
    RangeResult,
    ReadConsistency,
    WatchDetail,
    WatchRequest,
)
from quorate.store.types import Operation as StoreOperation

logger: logging.Logger = logging.getLogger("quorate.client")
SESSION_MILLISECONDS: Final = 10_000
_LOST_A_RACE: Final = (Code.BAD_VERSION, Code.NODE_EXISTS, Code.NO_NODE)
_SEQUENCE_DIGITS: Final = 10
CLOSING_SECONDS: Final = 1.0


class ZooKeeperStore:
    """A store under `root` ("" for the whole tree) of the servers at `addresses` ("host:port").

    Make it inside a running loop. `user` is a name and a password for the scheme "digest"; what
    such a client creates belongs to that user alone. `timeout` (seconds) bounds every call.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        root: str = "",
        *,
        tls: TlsConfig | None = None,
        user: tuple[str, str] | None = None,
        timeout: float = 10.0,
        ports: Ports | None = None,
    ) -> None:
        servers = Servers(
            tuple(addresses),
            ports or real_ports(),
            tls.client_context() if tls is not None else None,
            ":".join(user).encode() if user is not None else None,
        )
        self._acl = ANYONE if user is None else CREATOR
        self._paths = Paths(root)
        self._timeout = timeout
        self._scope = TaskScope(_failed)
        self._session = LastingSession(servers, SESSION_MILLISECONDS)
        self._tree = Tree(self._session, self._paths, timeout)
        self._watches = Watches(self._session, self._tree, self._paths, self._scope, timeout)
        self._session.listen(self._watches.hear, self._watches.reconnected)
        self._leases = LeaseSessions(servers, timeout)
        self._keeping: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        return CAPABILITIES

    @property
    def limits_value_bytes(self) -> int:
        """The largest value in bytes."""
        return VALUE_BYTES

    async def get(
        self,
        key: bytes,
        *,
        revision: int = 0,
        consistency: ReadConsistency = ReadConsistency.LINEARIZABLE,
    ) -> KeyValue | None:
        """Return the key's version; None when it is absent."""
        query = Range(check_key(key), key + b"\x00", revision=revision)
        found = await self.range(query, consistency=consistency)
        return found.items[0] if found.items else None

    async def range(
        self, query: Range, *, consistency: ReadConsistency = ReadConsistency.LINEARIZABLE
    ) -> RangeResult:
        """Return a range, without a limit all of it."""
        self._check_open()
        if query.revision:
            raise unsupported("keeps no past revisions: read what is there now")
        if query.end and query.end <= query.start:
            return RangeResult((), 0, (await self._tree.look((), self._first(consistency)))[1])
        picture = await self._tree.picture(
            query.start, query.end, reading_for(query), self._first(consistency)
        )
        return page_of(picture, query)

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        """Write one key and return the revision."""
        return (await self.commit(then=[Put(key, value, lease)])).revision

    async def delete(self, key: bytes) -> DeleteResult:
        """Delete one key."""
        (result,) = (await self.commit(then=[Delete(key)])).results
        assert isinstance(result, DeleteResult)
        return result

    async def delete_range(self, start: bytes, end: bytes) -> DeleteResult:
        """Refused: a multi deletes single keys only."""
        raise unsupported(
            f"deletes single keys only, not the range from {start[:80]!r} to {end[:80]!r} at once"
        )

    async def commit(
        self,
        *,
        when: Sequence[Compare] = (),
        then: Sequence[StoreOperation] = (),
        otherwise: Sequence[StoreOperation] = (),
    ) -> CommitResult:
        """Write several keys at once, if every condition holds."""
        self._check_open()
        writes = check_commit(when, then, otherwise)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        keys = list(dict.fromkeys(each.key for each in (*when, *writes)))
        while True:
            sight, revision = await self._look(keys)
            if not all(holds(condition, sight.nodes[condition.key]) for condition in when):
                return CommitResult(succeeded=False, revision=revision, results=())
            planned = plan(when, writes, sight, self._leases.ids, self._acl)
            if not planned.parts:
                return _result(writes, planned, revision)
            if planned.missing:
                await self._make_directories(planned.missing)
                continue
            left = deadline - loop.time()
            if left <= 0:
                raise Unavailable(
                    f"{keys[0][:80]!r} changes faster than it can be written, or the servers are "
                    "slow; nothing was written: try again, or change it in fewer places"
                )
            done_at = await self._do(planned, left)
            if done_at:
                return _result(writes, planned, done_at)

    async def enqueue(self, prefix: bytes, value: bytes, *, lease: int = 0) -> Enqueued:
        """Create a new key under `prefix`, after every other that was enqueued there.

        The order counts from the directory's creation: it begins anew when that was empty for a
        minute or so, and ZooKeeper removed it.
        """
        self._check_open()
        check_put(Put(prefix, value, lease))
        mode = CreateMode.EPHEMERAL_SEQUENTIAL if lease else CreateMode.PERSISTENT_SEQUENTIAL
        path = self._paths.beginning(prefix)
        creation = Request(Operation.CREATE, records.create(path, value, mode, self._acl))
        session = self._leases.get(lease).session if lease else self._session
        while True:
            reply = await session.tell(creation, self._timeout)
            if reply.code == Code.OK:
                created = reply.reader.text()
                return Enqueued(self._paths.key(created) or b"", int(created[-_SEQUENCE_DIGITS:]))
            if reply.code != Code.NO_NODE:
                raise _refusal(reply.code)
            await self._make_directories([parent_of(path)])

    async def grant(self, ttl: float) -> Grant:
        """Grant a lease of at least `ttl` seconds, as far as the servers' limits allow."""
        self._check_open()
        if ttl <= 0:
            raise InvalidRequest(f"a ttl is a positive number of seconds, not {ttl}")
        return await self._leases.grant(ttl)

    async def keep_alive(self, lease: int) -> float:
        """Renew a lease, and return for how long it is good, counted from before the call."""
        self._check_open()
        return await self._leases.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys in one step."""
        self._check_open()
        await self._leases.revoke(lease)

    async def time_to_live(self, lease: int) -> LeaseStatus:
        """Return what remains of a lease of this client's, and its keys."""
        self._check_open()
        paths = await self._leases.keys(lease, self._paths.root)
        keys = sorted(key for key in map(self._paths.key, paths) if key is not None)
        found = self._leases.get(lease)
        return LeaseStatus(lease, found.ttl, min(found.remaining, found.ttl), tuple(keys))

    def watch(self, request: WatchRequest) -> ResumableWatch:
        """Watch a key or a range. Of several changes of one key at once, the last is given."""
        self._check_open()
        if request.detail is not WatchDetail.EVENT:
            raise unsupported("does not say what was there before: remember it")
        if self._keeping is None:
            self._keeping = self._scope.spawn(self._session.keep(), name="zookeeper-session")
        return self._watches.watch(request)

    async def compact(self, revision: int) -> None:
        """Refused: there is no history."""
        raise unsupported(f"keeps no history that could be compacted to revision {revision}")

    async def close(self) -> None:
        """Close every watch and connection; further calls raise."""
        self._closed = True
        for watch in self._watches.close():
            await watch.close()
        await self._scope.close()
        await self._session.close(CLOSING_SECONDS)
        await self._leases.close()

    async def _look(self, keys: Sequence[bytes]) -> tuple[Sight, int]:
        paths = {key: self._paths.of(key) for key in keys}
        directories = list(dict.fromkeys(parent_of(path) for path in paths.values()))
        looked, revision = await self._tree.look([*paths.values(), *directories])
        nodes = dict(zip(keys, looked, strict=False))
        return Sight(
            paths, nodes, dict(zip(directories, looked[len(keys) :], strict=True))
        ), revision

    async def _do(self, planned: Plan, seconds: float) -> int:
        """Send a multi, and return its revision; 0: something had changed, look again."""
        session: Session = self._session
        if planned.lease:
            session = self._leases.get(planned.lease).session
        request = Request(Operation.MULTI, records.multi(planned.parts))
        reply = await session.tell(request, seconds)
        code = reply.code or _failure(reply, len(planned.parts))
        if not code:
            return reply.zxid
        if code in _LOST_A_RACE:
            return 0
        raise _refusal(code)

    async def _make_directories(self, paths: Sequence[str]) -> None:
        """Create directories, and those above them; ZooKeeper removes them when they are empty."""
        for path in paths:
            requests = []
            for at in (*self._paths.ancestors(path), path):
                lasting = self._paths.is_above_root(at)
                kind = Operation.CREATE if lasting else Operation.CREATE_CONTAINER
                mode = CreateMode.PERSISTENT if lasting else CreateMode.CONTAINER
                requests.append(Request(kind, records.create(at, DIRECTORY, mode, self._acl)))
            for reply in await self._session.ask(requests, self._timeout):
                if reply.code not in (Code.OK, Code.NODE_EXISTS):
                    raise _refusal(reply.code)

    def _first(self, consistency: ReadConsistency) -> Operation:
        stale = consistency is ReadConsistency.STALE
        return Operation.EXISTS if stale else Operation.SYNC

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequest("this store is closed")


def _failed(name: str, error: BaseException) -> None:
    logger.error("%s failed", name, exc_info=error)


def _failure(reply: Reply, parts: int) -> int:
    failed = records.multi_failure(reply.reader, parts)
    return 0 if failed is None else failed[1]


def _refusal(code: int) -> Exception:
    if code == Code.NOT_EMPTY:
        return unsupported("keeps other keys under that key, so it cannot be deleted before them")
    if code == Code.NO_CHILDREN_FOR_EPHEMERALS:
        return unsupported("keeps no key under one that is attached to a lease: choose another")
    return refusal(code)


def _result(writes: Sequence[Put | Delete], planned: Plan, revision: int) -> CommitResult:
    results = tuple(
        revision
        if isinstance(each, Put)
        else DeleteResult(int(each.key in planned.deleted), revision)
        for each in writes
    )
    return CommitResult(succeeded=True, revision=revision, results=results)

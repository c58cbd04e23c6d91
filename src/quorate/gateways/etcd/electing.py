"""The Election service: one leader by name, as long as its lease lives.

Source: etcd 3.5, `server/etcdserver/api/v3election/election.go` and
`client/v3/concurrency/election.go`.
"""

from __future__ import annotations

from typing import Any, Final

from quorate.codecs.etcd import failures
from quorate.codecs.etcd.messages import MESSAGES
from quorate.engines.cluster import ClusterStore
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.queueing import contending, enter, first, first_of, leave
from quorate.gateways.etcd.refusals import refuse
from quorate.gateways.etcd.translation import key_value
from quorate.gateways.grpc.methods import StreamCall
from quorate.store.compare import create_revision
from quorate.store.types import (
    EventKind,
    KeyValue,
    Put,
    WatchRequest,
    prefix_end,
)

_LeaderKey: Final = MESSAGES["LeaderKey"]
SESSION_EXPIRED: Final = "election: session is expired"


class ElectionService:
    """etcd's v3election over a cluster."""

    def __init__(self, store: ClusterStore, headers: Headers) -> None:
        self._store = store
        self._headers = headers

    async def campaign(self, request: Any) -> Any:
        """Wait until elected; the value says who that is."""
        place = await enter(self._store, request.name, request.value, request.lease)
        leader = _LeaderKey(name=request.name, key=place.key, rev=place.created, lease=place.lease)
        async with contending(self._store, place):
            if place.known is not None and place.known.value != request.value:
                await self._proclaim(leader, request.value)
            revision = await first(self._store, place, SESSION_EXPIRED)
        header = self._headers.at(revision)
        return MESSAGES["CampaignResponse"](header=header, leader=leader)

    async def proclaim(self, request: Any) -> Any:
        """Change the leader's value."""
        if not request.HasField("leader"):
            raise refuse(failures.LEADER_NOT_PROVIDED)
        revision = await self._proclaim(request.leader, request.value)
        return MESSAGES["ProclaimResponse"](header=self._headers.at(revision))

    async def leader(self, request: Any) -> Any:
        """Tell who leads."""
        found = await self._store.range(first_of(request.name))
        if not found.items:
            raise refuse(failures.ELECTION_NO_LEADER)
        return self._leader_response(found.items[0], found.revision)

    async def observe(self, call: StreamCall) -> None:
        """Tell who leads, and each change of that."""
        request = await call.receive()
        if request is None:
            return
        name = request.name
        prefix = name + b"/"
        while True:
            found = await self._store.range(first_of(name))
            watch = self._store.watch(
                WatchRequest(prefix, prefix_end(prefix), from_revision=found.revision + 1)
            )
            leader = found.items[0] if found.items else None
            try:
                if leader is not None:
                    await call.send(self._leader_response(leader, found.revision))
                async for batch in watch:
                    ended = False
                    for event in batch.events:
                        if leader is None or event.kind is EventKind.DELETE:
                            ended = ended or leader is None or event.kv.key == leader.key
                        elif event.kv.key == leader.key:
                            await call.send(self._leader_response(event.kv, batch.revision))
                    if ended:
                        break
            finally:
                await watch.close()

    async def resign(self, request: Any) -> Any:
        """Give leadership up."""
        if not request.HasField("leader"):
            raise refuse(failures.LEADER_NOT_PROVIDED)
        revision = await leave(self._store, request.leader.key, request.leader.rev)
        return MESSAGES["ResignResponse"](header=self._headers.at(revision))

    async def _proclaim(self, leader: Any, value: bytes) -> int:
        result = await self._store.commit(
            when=[create_revision(leader.key) == leader.rev],
            then=[Put(leader.key, value, leader.lease)],
        )
        if not result.succeeded:
            raise refuse(failures.ELECTION_NOT_LEADER)
        return result.revision

    def _leader_response(self, found: KeyValue, revision: int) -> Any:
        return MESSAGES["LeaderResponse"](header=self._headers.at(revision), kv=key_value(found))

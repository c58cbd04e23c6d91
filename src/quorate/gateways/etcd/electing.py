"""The Election service: one leader by name, as long as its lease lives.

Source: etcd 3.5, `server/etcdserver/api/v3election/election.go` and
`client/v3/concurrency/election.go`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from quorate.codecs.etcd.messages import MESSAGES
from quorate.engines.cluster import ClusterStore
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.queueing import (
    SESSION_TTL_SECONDS,
    enter,
    first_of,
    leave,
    wait_first,
)
from quorate.gateways.etcd.translation import key_value
from quorate.gateways.etcd.watching import Call
from quorate.gateways.grpc.codes import Code, RpcError
from quorate.store.types import (
    Compare,
    CompareOperator,
    CompareTarget,
    EventKind,
    KeyValue,
    Put,
    Range,
    WatchRequest,
    prefix_end,
)

_LeaderKey: Final = MESSAGES["LeaderKey"]
NO_LEADER: Final = "election: no leader"
NOT_LEADER: Final = "election: not leader"
MISSING_LEADER_KEY: Final = '"leader" field must be provided'
SESSION_EXPIRED: Final = "election: session is expired"


class ElectionService:
    """etcd's v3election over a cluster."""

    def __init__(self, store: ClusterStore, headers: Headers) -> None:
        self._store = store
        self._headers = headers

    async def campaign(self, request: Any) -> Any:
        """Wait until elected; the value says who that is."""
        store = self._store
        lease = request.lease or (await store.grant(SESSION_TTL_SECONDS)).id
        place = await enter(store, request.name, request.value, lease)
        leader = _LeaderKey(name=request.name, key=place.key, rev=place.created, lease=lease)
        try:
            if place.known is not None and place.known.value != request.value:
                await self._proclaim(leader, request.value)
            if not place.leads:
                await wait_first(store, request.name, place.created)
        except asyncio.CancelledError:
            await leave(store, place.key, place.created)
            raise
        found = await store.range(Range(place.key, place.key + b"\0"))
        if not found.items or found.items[0].create_revision != place.created:
            raise RpcError(Code.UNKNOWN, SESSION_EXPIRED)
        header = self._headers.at(found.revision)
        return MESSAGES["CampaignResponse"](header=header, leader=leader)

    async def proclaim(self, request: Any) -> Any:
        """Change the leader's value."""
        if not request.HasField("leader"):
            raise RpcError(Code.UNKNOWN, MISSING_LEADER_KEY)
        revision = await self._proclaim(request.leader, request.value)
        return MESSAGES["ProclaimResponse"](header=self._headers.at(revision))

    async def leader(self, request: Any) -> Any:
        """Tell who leads."""
        found = await self._store.range(first_of(request.name))
        if not found.items:
            raise RpcError(Code.UNKNOWN, NO_LEADER)
        return self._leader_response(found.items[0], found.revision)

    async def observe(self, call: Call) -> None:
        """Tell who leads, and each change of that."""
        request = await call.receive()
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
            raise RpcError(Code.UNKNOWN, MISSING_LEADER_KEY)
        revision = await leave(self._store, request.leader.key, request.leader.rev)
        return MESSAGES["ResignResponse"](header=self._headers.at(revision))

    async def _proclaim(self, leader: Any, value: bytes) -> int:
        result = await self._store.commit(
            when=[
                Compare(
                    leader.key, CompareTarget.CREATE_REVISION, CompareOperator.EQUAL, leader.rev
                )
            ],
            then=[Put(leader.key, value, leader.lease)],
        )
        if not result.succeeded:
            raise RpcError(Code.UNKNOWN, NOT_LEADER)
        return result.revision

    def _leader_response(self, found: KeyValue, revision: int) -> Any:
        return MESSAGES["LeaderResponse"](header=self._headers.at(revision), kv=key_value(found))

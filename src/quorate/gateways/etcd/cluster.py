"""The Cluster service: who belongs to the cluster, and changing that.

etcd knows a member by its id and its peer URLs; here each has one address and a name. A member
that etcd's API adds is named by its address until its node runs under a name of its own: a node
that joins finds itself by either. Changes are refused, as etcd does, when they could cost the
cluster its majority.
Source: etcd 3.5, `server/etcdserver/server.go` and `api/membership/cluster.go`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from quorate.codecs.etcd import failures
from quorate.codecs.etcd.messages import MESSAGES
from quorate.engines.cluster import ClusterStore
from quorate.engines.cluster.settling import settled
from quorate.errors import ConfigurationError, MembershipRefused
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.neighbours import Neighbours
from quorate.gateways.etcd.refusals import refuse
from quorate.kv.requests import MemberStatus
from quorate.protocol.raft.configuration import (
    AddLearner,
    Change,
    Member,
    Promote,
    Remove,
    UpdateAddress,
)
from quorate.runtime.transport.address import split_address

_Member: Final = MESSAGES["Member"]
SETTLED_SECONDS: Final = 5.0
LAG_ENTRIES_SHARE: Final = 0.9
"""How much of the leader's log a learner must hold to be promoted (etcd's readyPercent)."""


class ClusterService:
    """etcd's Cluster over a cluster of ours. `scheme` is that of its URLs."""

    def __init__(
        self, store: ClusterStore, headers: Headers, neighbours: Neighbours, scheme: str
    ) -> None:
        self._store = store
        self._headers = headers
        self._neighbours = neighbours
        self._scheme = scheme

    async def list(self, _: Any) -> Any:
        """List the members."""
        return self._answer("MemberListResponse", await self._members())

    async def add(self, request: Any) -> Any:
        """Add a member, which starts later."""
        address = _address_of(request.peerURLs)
        members = await self._members()
        if any(member.address == address for member in members):
            raise refuse(failures.PEER_URL_EXISTS)
        if request.isLearner and any(member.part == "learner" for member in members):
            raise refuse(failures.TOO_MANY_LEARNERS)
        identifier = secrets.randbits(62) + 1
        if not request.isLearner:
            await self._check_majority(members, voters=1)
        await self._change(AddLearner(Member(identifier, address, address)))
        await self._settled(identifier, "learner", "voter")
        if not request.isLearner:
            await self._change(Promote(identifier))
            await self._settled(identifier, "voter")
        members = await self._members()
        added = next(member for member in members if member.id == identifier)
        answer = self._answer("MemberAddResponse", members)
        answer.member.CopyFrom(self._member(added))
        return answer

    async def remove(self, request: Any) -> Any:
        """Remove a member for good."""
        members = await self._members()
        found = _find(members, request.ID)
        if found.part == "voter":
            rest = [member for member in members if member.id != found.id]
            await self._check_majority(rest, voters=0)
        await self._change(Remove(request.ID))
        await self._settled(request.ID, "")
        return self._answer("MemberRemoveResponse", await self._members())

    async def update(self, request: Any) -> Any:
        """Change where a member is reached."""
        address = _address_of(request.peerURLs)
        members = await self._members()
        _find(members, request.ID)
        if any(member.address == address and member.id != request.ID for member in members):
            raise refuse(failures.PEER_URL_EXISTS)
        await self._change(UpdateAddress(request.ID, address))
        return self._answer("MemberUpdateResponse", await self._members())

    async def promote(self, request: Any) -> Any:
        """Let a learner vote that has caught up."""
        found = _find(await self._members(), request.ID)
        if found.part != "learner":
            raise refuse(failures.MEMBER_NOT_LEARNER)
        leader = await self._store.status()
        learner = (await self._neighbours.look([found])).get(found.id)
        if learner is None or learner.applied_index < leader.commit_index * LAG_ENTRIES_SHARE:
            raise refuse(failures.LEARNER_NOT_READY)
        await self._change(Promote(request.ID))
        await self._settled(request.ID, "voter")
        return self._answer("MemberPromoteResponse", await self._members())

    async def _members(self) -> Sequence[MemberStatus]:
        """Return the members, and look where each speaks etcd's API."""
        members = (await self._store.members()).members
        await self._neighbours.look(members)
        return members

    async def _check_majority(self, members: Sequence[MemberStatus], *, voters: int) -> None:
        """Refuse a change after which too few voters run; `voters` more come that do not yet."""
        running = await self._neighbours.look(members)
        voting = [member for member in members if member.part == "voter"]
        alive = sum(member.id in running for member in voting)
        if alive < (len(voting) + voters) // 2 + 1:
            raise refuse(failures.MEMBER_NOT_ENOUGH_STARTED)

    async def _change(self, change: Change) -> None:
        try:
            await self._store.change_members(change)
        except MembershipRefused:
            raise refuse(failures.MEMBER_NOT_ENOUGH_STARTED) from None

    async def _settled(self, identifier: int, *parts: str) -> None:
        try:
            async with asyncio.timeout(SETTLED_SECONDS):
                await settled(self._store, identifier, parts)
        except TimeoutError:
            raise refuse(failures.TIMEOUT) from None

    def _answer(self, name: str, members: Sequence[MemberStatus]) -> Any:
        return MESSAGES[name](
            header=self._headers.latest(),
            members=[self._member(member) for member in members],
        )

    def _member(self, member: MemberStatus) -> Any:
        etcd = self._neighbours.etcd_address(member.id)
        return _Member(
            ID=member.id,
            name="" if member.name == member.address and not etcd else member.name,
            peerURLs=[f"{self._scheme}://{member.address}"],
            clientURLs=[f"{self._scheme}://{etcd}"] if etcd else [],
            isLearner=member.part == "learner",
        )


def _find(members: Iterable[MemberStatus], identifier: int) -> MemberStatus:
    for member in members:
        if member.id == identifier:
            return member
    raise refuse(failures.MEMBER_NOT_FOUND)


def _address_of(urls: Sequence[str]) -> str:
    """Return the address in the one URL of a member; etcd allows several, we have one."""
    if len(urls) != 1:
        raise refuse(failures.BAD_MEMBER_URLS)
    parts = urlsplit(urls[0])
    try:
        split_address(parts.netloc)
    except ConfigurationError:
        raise refuse(failures.BAD_MEMBER_URLS) from None
    if parts.scheme not in ("http", "https") or parts.path not in ("", "/"):
        raise refuse(failures.BAD_MEMBER_URLS)
    return parts.netloc

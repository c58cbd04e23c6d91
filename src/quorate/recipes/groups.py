"""Who is there: a group whose members come, go and say something of themselves.

A member is a key on its client's lease, so whoever dies is gone after its ttl. A view of a
group is read once and then follows the changes, so that asking it costs nothing.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from quorate.errors import Compacted, InvalidRequest, LockLost, QuorateError
from quorate.recipes.changes import everything
from quorate.recipes.claim import DEFAULT_TTL_SECONDS, Workshop
from quorate.recipes.leases import RETRY_SECONDS
from quorate.recipes.own_key import OwnKey
from quorate.runtime.scope import TaskScope
from quorate.store.compare import create_revision
from quorate.store.port import Store
from quorate.store.types import (
    Event,
    EventKind,
    KeyValue,
    Put,
    Range,
    WatchRequest,
    prefix_end,
)


class Member(NamedTuple):
    """A member as others see it."""

    id: str
    data: bytes


class ChangeKind(enum.StrEnum):
    """What happened to a member."""

    JOINED = "joined"
    CHANGED = "changed"
    LEFT = "left"


class MemberChange(NamedTuple):
    """One change of a group. Of who left, `member` has the id and no data."""

    kind: ChangeKind
    member: Member


class Membership:
    """One's own place in a group, for as long as the lease behind it lives."""

    def __init__(self, store: Store, own: OwnKey, token: int) -> None:
        self.id: str = own.id
        self.token: int = token
        self._store = store
        self._own = own

    @property
    def lost(self) -> bool:
        """Whether the membership can no longer be proven: others may not see it any more."""
        return not self._own.proven

    async def update(self, data: bytes | str) -> None:
        """Say something else of oneself. Raises LockLost when the membership has ended."""
        result = await self._store.commit(
            when=[create_revision(self._own.key) == self.token],
            then=[Put(self._own.key, _bytes(data), self._own.lease)],
        )
        if not result.succeeded:
            raise LockLost(f"the membership {self.id} has ended: join again")


class View:
    """A group as it is, kept up to date in the background."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}

    @property
    def members(self) -> list[Member]:
        """Who is there now, by id."""
        return [self._members[name] for name in sorted(self._members)]

    def take(self, change: MemberChange) -> None:
        """Follow one change."""
        if change.kind is ChangeKind.LEFT:
            self._members.pop(change.member.id, None)
        else:
            self._members[change.member.id] = change.member


class Group:
    """A named group. Anybody may look; whoever joins is seen."""

    def __init__(self, workshop: Workshop, name: str, *, ttl: float = DEFAULT_TTL_SECONDS) -> None:
        if not name:
            raise InvalidRequest("a group needs a name")
        self._workshop = workshop
        self._store = workshop.store
        self._scope: TaskScope = workshop.scope
        self._prefix = members_prefix(name)
        self._ttl = ttl

    @asynccontextmanager
    async def join(self, data: bytes | str = b"") -> AsyncIterator[Membership]:
        """Be a member while the body runs.

        What leaving raises says that others may see the member yet; it goes in the background,
        or with the end of its lease.
        """
        own = OwnKey(self._workshop, self._prefix, self._ttl)
        membership = Membership(self._store, own, await own.put(_bytes(data)))
        try:
            yield membership
        finally:
            if not membership.lost:
                await own.remove()

    async def members(self) -> list[Member]:
        """Return who is there, by id."""
        found, _ = await self._read()
        return [self._member(item) for item in found]

    async def changes(self) -> AsyncGenerator[MemberChange, None]:
        """Give everybody who is there as joined, then each change to come."""
        async for change in self._changes({}):
            yield change

    async def _changes(self, known: dict[bytes, bytes]) -> AsyncGenerator[MemberChange, None]:
        """Give what is different from `known` (data by key), then each change to come."""
        while True:
            found, revision = await self._read()
            present = {item.key: item.value for item in found}
            # After a gap in the history, what happened in it follows from what is there now.
            for key in [key for key in known if key not in present]:
                del known[key]
                yield MemberChange(ChangeKind.LEFT, Member(self._id(key), b""))
            for key, value in present.items():
                if known.get(key) != value:
                    kind = ChangeKind.CHANGED if key in known else ChangeKind.JOINED
                    known[key] = value
                    yield MemberChange(kind, Member(self._id(key), value))
            end = prefix_end(self._prefix)
            watch = self._store.watch(WatchRequest(self._prefix, end, revision + 1))
            try:
                async for batch in watch:
                    for event in batch.events:
                        yield self._change(event, known)
            except Compacted:
                continue
            finally:
                await watch.close()

    @asynccontextmanager
    async def view(self) -> AsyncIterator[View]:
        """A view of the group for the body, complete from its beginning."""
        view = View()
        async with self.follow(view.take):
            yield view

    @asynccontextmanager
    async def follow(self, take: Callable[[MemberChange], None]) -> AsyncIterator[None]:
        """Give `take` everybody who is there, and in the background each change of the body's time.

        While the store can't be reached nothing is given; what it missed comes afterwards.
        """
        found, _ = await self._read()
        for item in found:
            take(MemberChange(ChangeKind.JOINED, self._member(item)))
        known = {item.key: item.value for item in found}
        following = self._scope.spawn(self._follow(take, known), name="group-view")
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _follow(
        self, take: Callable[[MemberChange], None], known: dict[bytes, bytes]
    ) -> None:
        while True:
            try:
                async for change in self._changes(known):
                    take(change)
            except QuorateError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _read(self) -> tuple[list[KeyValue], int]:
        return await everything(self._store, Range(self._prefix, prefix_end(self._prefix)))

    def _change(self, event: Event, known: dict[bytes, bytes]) -> MemberChange:
        key = event.kv.key
        if event.kind is EventKind.DELETE:
            known.pop(key, None)
            return MemberChange(ChangeKind.LEFT, Member(self._id(key), b""))
        kind = ChangeKind.CHANGED if key in known else ChangeKind.JOINED
        known[key] = event.kv.value
        return MemberChange(kind, Member(self._id(key), event.kv.value))

    def _member(self, item: KeyValue) -> Member:
        return Member(self._id(item.key), item.value)

    def _id(self, key: bytes) -> str:
        return key.removeprefix(self._prefix).decode()


def members_prefix(name: str) -> bytes:
    """Return what the keys of a group's members begin with, before the member's id."""
    return f"{name}/members/".encode()


def _bytes(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data

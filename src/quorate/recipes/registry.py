"""The registry of services: who offers one, where, and whether it is well.

An instance is a member of a group, on its client's lease, so whoever dies is gone after its
ttl. Unlike a lock, a registration that lost its lease is made again: nobody else has taken
what it had. It keeps its id, and so its key, over that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from quorate.errors import InvalidRequest
from quorate.recipes.claim import DEFAULT_TTL_SECONDS, Workshop
from quorate.recipes.groups import Group, members_prefix
from quorate.recipes.instances import (
    Document,
    Instance,
    InstanceChange,
    InstanceView,
    Roll,
    instance_of,
    make_document,
)
from quorate.recipes.seats import Seat
from quorate.runtime.ports import Randomness

CHECK_SECONDS: Final = 5.0
Check: TypeAlias = Callable[[], Awaitable[bool]]


class Registration:
    """One's own instance of a service, for as long as the body runs."""

    def __init__(self, seat: Seat) -> None:
        self.id: str = seat.id
        self._seat = seat

    @property
    def registered(self) -> bool:
        """Whether others see it, as far as can be proven: its lease lives, its check passes."""
        return self._seat.taken

    @property
    def instance(self) -> Instance:
        """What others see, or will see once it is registered again."""
        return self._seat.document.instance(self.id)

    async def update(
        self, *, metadata: Mapping[str, str] | None = None, weight: int | None = None
    ) -> None:
        """Say something else of oneself; what is None stays as it is.

        While it is not registered this is kept, and seen once it is again.
        """

        def change(before: Document) -> Document:
            return make_document(
                before.address,
                before.metadata if metadata is None else metadata,
                before.weight if weight is None else weight,
            )

        await self._seat.say(change)


class Registry:
    """One service by its name: who offers it registers, who wants it looks."""

    def __init__(
        self,
        workshop: Workshop,
        randomness: Randomness,
        name: str,
        *,
        ttl: float = DEFAULT_TTL_SECONDS,
    ) -> None:
        if not name:
            raise InvalidRequest("a registry needs the name of a service")
        self._workshop = workshop
        self._randomness = randomness
        self._name = name
        self._ttl = ttl
        self._group = Group(workshop, name, ttl=ttl)

    @asynccontextmanager
    async def register(
        self,
        address: str,
        *,
        metadata: Mapping[str, str] | None = None,
        weight: int = 1,
        check: Check | None = None,
        interval: float = CHECK_SECONDS,
    ) -> AsyncIterator[Registration]:
        """Be an instance at `address` ("host:port") while the body runs.

        `check` is awaited every `interval` seconds and has as long to answer: what is False,
        raises or is late withdraws the instance, and the next True brings it back. An instance
        that lost its lease is registered again in the background; `registration.registered`
        tells how it is. Raises InvalidRequest, and what the store raises at the beginning.
        """
        if interval <= 0:
            raise InvalidRequest(f"an interval is a positive number of seconds, not {interval}")
        document = make_document(address, metadata or {}, weight)
        lease = await self._workshop.keeper.lease(self._ttl)
        seat = Seat(self._workshop, members_prefix(self._name), self._ttl, lease, document)
        await seat.begin(check, interval)
        try:
            yield Registration(seat)
        finally:
            await seat.end()

    async def instances(self) -> list[Instance]:
        """Return who is there, by id."""
        found = (instance_of(*member) for member in await self._group.members())
        return [instance for instance in found if instance is not None]

    async def changes(self) -> AsyncGenerator[InstanceChange, None]:
        """Give everybody who is there as joined, then each change to come."""
        roll = Roll()
        async for change in self._group.changes():
            meant = roll.take(change)
            if meant is not None:
                yield meant

    @asynccontextmanager
    async def view(self) -> AsyncIterator[InstanceView]:
        """A view of the instances for the body, complete from its beginning."""
        view = InstanceView(self._name, self._workshop.clock, self._randomness)
        async with self._group.follow(view.follow):
            yield view

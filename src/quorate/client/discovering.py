"""The registry of services for threads: each call goes through the client's portal."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from quorate.client.portal import Portal, each, entered
from quorate.recipes.instances import DOWN_SECONDS, Instance, InstanceChange, InstanceView
from quorate.recipes.registry import CHECK_SECONDS, Registration, Registry


class SyncRegistration:
    """One's own instance of a service, blocking."""

    def __init__(self, portal: Portal, registration: Registration) -> None:
        self._portal = portal
        self._registration = registration
        self.id: str = registration.id

    @property
    def registered(self) -> bool:
        """Whether others see it, as far as can be proven: its lease lives, its check passes."""
        return self._registration.registered

    @property
    def instance(self) -> Instance:
        """What others see, or will see once it is registered again."""
        return self._registration.instance

    def update(
        self, *, metadata: Mapping[str, str] | None = None, weight: int | None = None
    ) -> None:
        """Say something else of oneself; what is None stays as it is."""
        self._portal.call(lambda: self._registration.update(metadata=metadata, weight=weight))


class SyncInstanceView:
    """The instances of a service, kept up to date in the background, for threads."""

    def __init__(self, portal: Portal, view: InstanceView) -> None:
        self._portal = portal
        self._view = view

    @property
    def instances(self) -> list[Instance]:
        """Who is there now, by id."""
        return self._view.instances

    def pick(self) -> Instance:
        """Return the next one in turn, each as often as its weight says. Raises NoInstance."""

        async def pick() -> Instance:
            return self._view.pick()

        return self._portal.call(pick)

    def pick_for(self, key: str | bytes) -> Instance:
        """Return the same one for the same key, in every client. Raises NoInstance."""

        async def pick() -> Instance:
            return self._view.pick_for(key)

        return self._portal.call(pick)

    def report_down(self, instance: Instance, seconds: float = DOWN_SECONDS) -> None:
        """Pass it over for so long, in this view, unless it says something new of itself."""

        async def report() -> None:
            self._view.report_down(instance, seconds)

        self._portal.call(report)

    def wait(self, count: int = 1) -> None:
        """Return once so many that can be picked are there."""
        self._portal.call(lambda: self._view.wait(count))


class SyncRegistry:
    """One service by its name, blocking."""

    def __init__(self, portal: Portal, registry: Registry) -> None:
        self._portal = portal
        self._registry = registry

    @contextmanager
    def register(
        self,
        address: str,
        *,
        metadata: Mapping[str, str] | None = None,
        weight: int = 1,
        check: Callable[[], bool] | None = None,
        interval: float = CHECK_SECONDS,
    ) -> Iterator[SyncRegistration]:
        """Be an instance at `address` ("host:port") while the body runs.

        `check` is called every `interval` seconds in a thread of its own, and has as long to
        answer.
        """
        asked = None if check is None else functools.partial(asyncio.to_thread, check)
        entering = self._registry.register(
            address, metadata=metadata, weight=weight, check=asked, interval=interval
        )
        with entered(self._portal, entering) as registration:
            yield SyncRegistration(self._portal, registration)

    def instances(self) -> list[Instance]:
        """Return who is there, by id."""
        return self._portal.call(self._registry.instances)

    def changes(self) -> Iterator[InstanceChange]:
        """Give everybody who is there as joined, then each change to come."""
        return each(self._portal, self._registry.changes())

    @contextmanager
    def view(self) -> Iterator[SyncInstanceView]:
        """A view of the instances for the body, complete from its beginning."""
        with entered(self._portal, self._registry.view()) as view:
            yield SyncInstanceView(self._portal, view)

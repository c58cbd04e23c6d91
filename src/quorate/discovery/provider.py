"""What the hooks need of a view, which both faces of the client have."""

from __future__ import annotations

from typing import Protocol

from quorate.recipes.instances import DOWN_SECONDS, Instance


class Provider(Protocol):
    """Somebody who knows the instances of a service: `InstanceView`, `SyncInstanceView`."""

    @property
    def instances(self) -> list[Instance]:
        """Who is there now, by id."""

    def pick(self) -> Instance:
        """Return the next one in turn. Raises NoInstance."""

    def report_down(self, instance: Instance, seconds: float = DOWN_SECONDS) -> None:
        """Pass it over for so long."""

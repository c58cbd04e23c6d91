"""Who hears of changes while they are applied.

Law: an observer changes nothing in the machine that it observes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from quorate.store.types import KeyValue


class Observer(Protocol):
    """Who is told about changes as they are applied; watches, usually."""

    def publish(self, revision: int, changes: Sequence[KeyValue]) -> None:
        """Take the changes of one revision; a version number of 0 marks a deletion."""

    def restored(self) -> None:
        """The whole state was replaced by a snapshot's."""

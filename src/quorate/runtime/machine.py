"""The port between the host and a replicated machine.

A machine is pure: `apply` is deterministic, the same on every node, and reads no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol


class Machine(Protocol):
    """What the host needs of a replicated machine.

    Submissions and outcomes are the machine's own types; the host passes them through.
    """

    def pack(self, submissions: Sequence[Any], wall_ms: int) -> bytes:
        """Encode submissions as one log entry. Leader only."""

    def apply(self, index: int, data: bytes) -> Sequence[Any]:
        """Apply one entry; return one outcome per submission, in their order."""

    def capture(self) -> Iterator[bytes]:
        """Return the state as of now, in slices; later applies don't change it."""

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replace the state by a captured one."""

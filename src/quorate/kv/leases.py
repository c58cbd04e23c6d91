"""The replicated table of leases: what exists, what it was granted, which keys hang on it.

Law: nothing here knows the time. A lease ends by a command that names it, and the leader's
command counts only if the lease's generation is still the one that the leader saw.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Lease(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One lease.

    `remaining_ms` is the last checkpoint, 0 when the whole `ttl_ms` counts. `generation` is
    the log index of the grant or of the last checkpoint.
    """

    id: int
    ttl_ms: int
    remaining_ms: int
    generation: int

    @property
    def promised_ms(self) -> int:
        """What a new leader must still give the lease, in milliseconds."""
        return self.remaining_ms or self.ttl_ms


class LeaseTable:
    """All leases by id, and the live keys attached to each."""

    __slots__ = ("_keys", "_leases", "_touched")

    def __init__(self) -> None:
        self._leases: dict[int, Lease] = {}
        self._keys: dict[int, dict[bytes, None]] = {}
        self._touched: dict[int, bool] | None = None

    def __len__(self) -> int:
        return len(self._leases)

    def __contains__(self, lease: int) -> bool:
        return lease in self._leases

    def __iter__(self) -> Iterator[Lease]:
        """Iterate over the leases in the order in which they were last granted or changed."""
        return iter(self._leases.values())

    def get(self, lease: int) -> Lease | None:
        """Return a lease by its id."""
        return self._leases.get(lease)

    def keys(self, lease: int) -> tuple[bytes, ...]:
        """Return the keys attached to a lease, in order."""
        return tuple(sorted(self._keys.get(lease, ())))

    def grant(self, lease: int, ttl_ms: int, index: int) -> None:
        """Add a lease whose id is free."""
        self.load(Lease(lease, ttl_ms, 0, index))
        if self._touched is not None:
            self._touched[lease] = True

    def load(self, lease: Lease) -> None:
        """Add a lease as a snapshot has it."""
        self._leases[lease.id] = lease

    def checkpoint(self, lease: int, remaining_ms: int, index: int) -> None:
        """Note what remains of a lease; the whole ttl, or nothing said, clears the note."""
        known = self._leases.get(lease)
        if known is None:
            return
        remaining_ms = remaining_ms if 0 < remaining_ms < known.ttl_ms else 0
        self._leases[lease] = Lease(lease, known.ttl_ms, remaining_ms, index)
        self.touch(lease)

    def remove(self, lease: int) -> None:
        """Forget a lease whose keys are deleted."""
        del self._leases[lease]
        self._keys.pop(lease, None)
        self.touch(lease)

    def attach(self, lease: int, key: bytes) -> None:
        """Hang a key on a lease that exists."""
        keys = self._keys.get(lease)
        if keys is None:
            keys = self._keys[lease] = {}
        keys[key] = None

    def detach(self, lease: int, key: bytes) -> None:
        """Take a key off the lease that it hangs on."""
        keys = self._keys[lease]
        del keys[key]
        if not keys:
            del self._keys[lease]

    def touch(self, lease: int) -> None:
        """Tell the leader's clock, if it listens, that something was decided about a lease."""
        if self._touched is not None:
            self._touched.setdefault(lease, False)

    def listen(self) -> None:
        """Start to collect the ids of leases about which something is decided."""
        self._touched = {}

    def ignore(self) -> None:
        """Stop collecting."""
        self._touched = None

    def take_touched(self) -> list[tuple[int, bool]]:
        """Return the ids collected since the last call, each with whether it was granted."""
        if not self._touched:
            return []
        touched = list(self._touched.items())
        self._touched.clear()
        return touched

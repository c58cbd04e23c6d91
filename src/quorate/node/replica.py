"""The key-value machine as the host drives it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from quorate.kv.commands import BATCH_FORMAT, Batch, Envelope, Outcome, encode_batch
from quorate.kv.machine import KeyValueMachine


class Replica:
    """Packs envelopes into entries and unpacks outcomes."""

    def __init__(self, machine: KeyValueMachine) -> None:
        self._machine = machine

    def pack(self, submissions: Sequence[Envelope], wall_ms: int) -> bytes:
        """Encode envelopes as one log entry."""
        time_ms = max(wall_ms, self._machine.time_ms)
        return encode_batch(Batch(BATCH_FORMAT, time_ms, tuple(submissions)))

    def apply(self, index: int, data: bytes) -> Sequence[list[Outcome]]:
        """Apply one entry; return each envelope's outcomes."""
        return [outcome for _, outcome in self._machine.apply(index, data)]

    def capture(self) -> Iterator[bytes]:
        """Return the state as of now, in slices."""
        return self._machine.capture()

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replace the state by a captured one."""
        self._machine.restore(chunks)

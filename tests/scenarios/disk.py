"""The disk of one node of a scenario: what is safe, and the snapshot file that is coming in."""

from __future__ import annotations

import zlib

import msgspec

from quorate.protocol.raft import Configuration, Entry, HardState, SnapshotIdentity
from quorate.protocol.raft.configuration import decode_configuration, encode_configuration
from quorate.protocol.raft.output import Persist, StoreChunk

encode_machine = msgspec.msgpack.Encoder().encode
decode_machine = msgspec.msgpack.Decoder(list[Entry]).decode


class Disk:
    """Log, hard state and snapshot, as a restart finds them.

    `configuration` is the one in force at `base` (index, term).
    """

    def __init__(self, configuration: Configuration) -> None:
        self.hard_state = HardState()
        self.base = (0, 0)
        self.entries: list[Entry] = []
        self.configuration = configuration
        self.snapshot: SnapshotIdentity | None = None
        self.snapshot_data = b""
        self.arriving: SnapshotIdentity | None = None
        self.arrived = b""

    @property
    def last_index(self) -> int:
        """The last index that survives a crash."""
        return self.entries[-1].index if self.entries else self.base[0]

    def write(self, persist: Persist) -> None:
        """Carry out one append."""
        if persist.hard_state is not None:
            self.hard_state = persist.hard_state
        if persist.truncate_from:
            self.entries = [each for each in self.entries if each.index < persist.truncate_from]
        if persist.snapshot is not None:
            self._begin_at_snapshot()
        if persist.entries:
            first = persist.entries[0].index
            self.entries = [each for each in self.entries if each.index < first]
            assert first == self.last_index + 1, "the log on disk has no hole"
            self.entries.extend(persist.entries)

    def take_snapshot(self, applied: list[Entry], configuration: Configuration) -> SnapshotIdentity:
        """Write the machine, which has applied so much, to a snapshot file."""
        self.snapshot_data = encode_machine(applied)
        self.snapshot = SnapshotIdentity(
            applied[-1].index,
            applied[-1].term,
            len(self.snapshot_data),
            zlib.crc32(self.snapshot_data),
            encode_configuration(configuration),
        )
        return self.snapshot

    def release(self, index: int, term: int, configuration: Configuration) -> None:
        """Forget the log up to an index that a snapshot covers."""
        self.entries = [each for each in self.entries if each.index > index]
        self.base = (index, term)
        self.configuration = configuration

    def store(self, chunk: StoreChunk) -> int:
        """Keep a chunk if it continues what is held; return how many bytes are held."""
        if self.arriving != chunk.snapshot:
            self.arriving, self.arrived = chunk.snapshot, b""
        if chunk.offset == len(self.arrived):
            self.arrived += chunk.data
        return len(self.arrived)

    def complete(self) -> None:
        """Turn the arrived file into the snapshot; its append makes it the base of the log."""
        assert self.arriving is not None
        assert zlib.crc32(self.arrived) == self.arriving.checksum, "the file arrived whole"
        self.snapshot, self.snapshot_data = self.arriving, self.arrived
        self.arriving, self.arrived = None, b""

    def recover(self) -> None:
        """Let the log begin at the newest snapshot, as a node does when it starts.

        Entries beyond it stay only if they follow from it: the log holds its last entry, too.
        """
        if self.snapshot is None:
            return
        place = (self.snapshot.index, self.snapshot.term)
        if place not in [self.base, *((each.index, each.term) for each in self.entries)]:
            self.entries = []
        self._begin_at_snapshot()

    def machine(self) -> list[Entry]:
        """Return what the machine of the snapshot has applied."""
        return decode_machine(self.snapshot_data) if self.snapshot is not None else []

    def _begin_at_snapshot(self) -> None:
        assert self.snapshot is not None
        configuration = decode_configuration(self.snapshot.configuration)
        self.release(self.snapshot.index, self.snapshot.term, configuration)

"""The state as bytes: the same bytes for the same state, made in slices.

Laws: a capture holds the state of one moment however long it takes to read, because what it
has not read yet is either copied (leases, sessions) or can't change (versions, which are
not dropped while it runs). A damaged or shortened stream restores nothing.

The stream is a sequence of frames: a length of four bytes, big-endian, and that many bytes
of msgpack. It may be cut into chunks anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Final, Protocol, TypeVar

import msgspec

from quorate.errors import SnapshotDamaged
from quorate.kv.history import History, Pin
from quorate.kv.leases import Lease
from quorate.kv.sessions import SessionRecord
from quorate.kv.state import State
from quorate.store.types import KeyValue

SNAPSHOT_FORMAT: Final = 1
SLICE_BYTES: Final = 256 * 1024
_KEYS_PER_LOOK: Final = 512
_CHANGES_PER_LOOK: Final = 512
_RECORD_BYTES: Final = 64

Item = TypeVar("Item")


class Header(msgspec.Struct, array_like=True, frozen=True, tag=60):
    """The first frame."""

    format: int
    applied_index: int
    time_ms: int
    revision: int
    compact_revision: int
    horizon: int


class Versions(msgspec.Struct, array_like=True, frozen=True, tag=61):
    """What was alive at the compact revision, in the order of keys."""

    items: list[KeyValue]


class Changes(msgspec.Struct, array_like=True, frozen=True, tag=62):
    """Every change since, in the order in which they happened."""

    items: list[KeyValue]


class Leases(msgspec.Struct, array_like=True, frozen=True, tag=63):
    """Leases in the order of ids. What hangs on them is said by the versions."""

    items: list[Lease]


class Sessions(msgspec.Struct, array_like=True, frozen=True, tag=64):
    """Sessions in the order of ids."""

    items: list[SessionRecord]


class End(msgspec.Struct, array_like=True, frozen=True, tag=65):
    """The last frame: the digest of all before it."""

    digest: int


Frame = Header | Versions | Changes | Leases | Sessions | End


class _Digest(Protocol):
    """The part of a hashlib object that is used here."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode


def capture(state: State) -> Iterator[bytes]:
    """Return the frames of the state as of now; later changes of it don't show."""
    history = state.history
    header = Header(
        SNAPSHOT_FORMAT,
        state.applied_index,
        state.time_ms,
        history.revision,
        history.compact_revision,
        state.sessions.horizon,
    )
    return _frames(history, history.pin(), header, list(state.leases), state.sessions.records())


def digest(state: State) -> int:
    """Return 64 bits that are equal for equal states, however they were reached."""
    digester = _new_digest()
    for frame in capture(state):
        digester.update(frame)
    return int.from_bytes(digester.digest())


def _new_digest() -> _Digest:
    return blake2b(digest_size=8)


def _frames(
    history: History,
    pin: Pin,
    header: Header,
    leases: list[Lease],
    sessions: list[SessionRecord],
) -> Iterator[bytes]:
    digester = _new_digest()
    for frame in _contents(history, header, leases, sessions):
        encoded = _framed(frame)
        digester.update(encoded)
        yield encoded
    del pin
    yield _framed(End(int.from_bytes(digester.digest())))


def _contents(
    history: History, header: Header, leases: list[Lease], sessions: list[SessionRecord]
) -> Iterator[Frame]:
    yield header
    for versions in _sliced(_alive_at(history, header.compact_revision), _version_bytes):
        yield Versions(versions)
    for changes in _sliced(_changed(history, header), _version_bytes):
        yield Changes(changes)
    leases.sort(key=lambda lease: lease.id)
    for some in _sliced(iter(leases), _lease_bytes):
        yield Leases(some)
    for records in _sliced(iter(sessions), _session_bytes):
        yield Sessions(records)


def _alive_at(history: History, compact_revision: int) -> Iterator[KeyValue]:
    """Iterate over the versions alive at a revision while keys come and go.

    A key that had such a version stays known while the capture's pin is held, alive or
    remembered, so looking for the keys after the last one misses none.
    """
    if not compact_revision:
        return
    last: bytes | None = None
    while keys := history.keys_after(last, _KEYS_PER_LOOK):
        for key in keys:
            version = history.at(key, compact_revision)
            if version is not None:
                yield version
        last = keys[-1]


def _changed(history: History, header: Header) -> Iterator[KeyValue]:
    """Iterate over the changes after the compact revision up to the captured revision."""
    revision = header.compact_revision + 1
    while revision <= header.revision:
        changes = history.changes(revision, _CHANGES_PER_LOOK)
        for change in changes:
            if change.mod_revision > header.revision:
                return
            yield change
        if not changes:
            return
        revision = changes[-1].mod_revision + 1


def _sliced(items: Iterator[Item], size_of: Callable[[Item], int]) -> Iterator[list[Item]]:
    gathered: list[Item] = []
    size = 0
    for item in items:
        gathered.append(item)
        size += size_of(item)
        if size >= SLICE_BYTES:
            yield gathered
            gathered = []
            size = 0
    if gathered:
        yield gathered


def _version_bytes(version: KeyValue) -> int:
    return _RECORD_BYTES + len(version.key) + len(version.value)


def _lease_bytes(_lease: Lease) -> int:
    return _RECORD_BYTES


def _session_bytes(record: SessionRecord) -> int:
    return _RECORD_BYTES + sum(8 + len(outcomes) for _, outcomes in record.outcomes)


def _framed(frame: Frame) -> bytes:
    encoded = _encode(frame)
    return len(encoded).to_bytes(4) + encoded


def rebuild(chunks: Iterable[bytes], session_window: int) -> State:
    """Build the state that a capture holds. Raises `SnapshotDamaged`."""
    state = State(session_window)
    digester = _new_digest()
    header: Header | None = None
    for encoded in _split(chunks):
        try:
            frame = _decode(memoryview(encoded)[4:])
        except msgspec.DecodeError as error:
            raise SnapshotDamaged(
                f"a frame of the key-value snapshot is damaged: {error}"
            ) from error
        if isinstance(frame, End):
            if header is None or frame.digest != int.from_bytes(digester.digest()):
                break
            _hang_keys_on_leases(state)
            return state
        digester.update(encoded)
        if isinstance(frame, Header):
            header = frame
            _start(state, header)
        else:
            _load(state, frame)
    raise SnapshotDamaged(
        "the key-value snapshot is shortened, or does not match its own digest:"
        " fetch it again from another node"
    )


def _start(state: State, header: Header) -> None:
    if header.format != SNAPSHOT_FORMAT:
        raise SnapshotDamaged(
            f"the key-value snapshot has format {header.format}, this version reads"
            f" {SNAPSHOT_FORMAT}: upgrade this node"
        )
    state.applied_index = header.applied_index
    state.time_ms = header.time_ms
    state.history.revision = header.revision
    state.history.compact_revision = header.compact_revision
    state.sessions.horizon = header.horizon


def _load(state: State, frame: Versions | Changes | Leases | Sessions) -> None:
    if isinstance(frame, Versions):
        for version in frame.items:
            state.history.load(version)
    elif isinstance(frame, Changes):
        for change in frame.items:
            if change.version:
                state.history.put(change.key, change.value, change.lease, change.mod_revision)
            else:
                state.history.delete(change.key, change.mod_revision)
    elif isinstance(frame, Leases):
        for lease in frame.items:
            state.leases.load(lease)
    else:
        for record in frame.items:
            state.sessions.load(record)


def _hang_keys_on_leases(state: State) -> None:
    for version in state.history.live.values():
        if version.lease:
            state.leases.attach(version.lease, version.key)


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream into frames; an incomplete last one is left out."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        start = 0
        while len(held) - start >= 4:
            end = start + 4 + int.from_bytes(held[start : start + 4])
            if end > len(held):
                break
            yield bytes(held[start:end])
            start = end
        del held[:start]

"""The instances of a service as others see them, and a live view that picks one of them.

An instance is a member of a group whose data is a small JSON document. Fields that a newer
release added are ignored, and members whose data is no such document are passed over, since
one foreigner under the prefix must not hide the others.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

import msgspec

from quorate.errors import InvalidRequest, NoInstance
from quorate.recipes.groups import ChangeKind, MemberChange
from quorate.runtime.ports import Clock, Randomness

DOWN_SECONDS: Final = 30.0
SECOND: Final = 1_000_000_000


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a member's data says; the address is host:port, or [host]:port for IPv6."""

    address: str
    metadata: dict[str, str] = {}
    weight: Annotated[int, msgspec.Meta(ge=0)] = 1

    def encoded(self) -> bytes:
        """Return the member's data."""
        return msgspec.json.encode(self)

    def instance(self, identifier: str) -> Instance:
        """Return the instance that says so; raises InvalidRequest when the address is none."""
        host, port = parse_address(self.address)
        return Instance(identifier, host, port, self.metadata, self.weight)


class Instance(msgspec.Struct, frozen=True):
    """One instance of a service. One of weight 0 is seen, and not picked."""

    id: str
    host: str
    port: int
    metadata: dict[str, str] = {}
    weight: int = 1

    @property
    def address(self) -> str:
        """The address as host:port, or [host]:port for IPv6."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class InstanceChange(NamedTuple):
    """One change of a service. Of who left, `instance` is what it was."""

    kind: ChangeKind
    instance: Instance


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[host]:port"; raises InvalidRequest."""
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    right = name and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not right or (":" in name) != bracketed:
        raise InvalidRequest(
            f"{address!r} is no address of an instance: write host:port, or [host]:port for IPv6"
        )
    return name, int(port)


def make_document(address: str, metadata: Mapping[str, str], weight: int) -> Document:
    """Return what an instance says of itself; raises InvalidRequest when it makes no sense."""
    parse_address(address)
    try:
        return msgspec.convert(
            {"address": address, "metadata": dict(metadata), "weight": weight}, Document
        )
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"an instance has metadata of text by text and a whole weight of 0 or more: {error}"
        ) from error


def instance_of(identifier: str, data: bytes) -> Instance | None:
    """Return the instance that a member is, None when its data says nothing of the kind."""
    try:
        return msgspec.json.decode(data, type=Document).instance(identifier)
    except (msgspec.MsgspecError, InvalidRequest, UnicodeDecodeError):
        return None


class Roll:
    """The instances of one service, from the changes of its group."""

    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}

    def take(self, change: MemberChange) -> InstanceChange | None:
        """Follow a change; return what it means for the service, None when it is nothing."""
        member = change.member
        before = self.instances.pop(member.id, None)
        now = None if change.kind is ChangeKind.LEFT else instance_of(member.id, member.data)
        if now is not None:
            self.instances[member.id] = now
        if now == before:
            return None
        if now is None:
            return None if before is None else InstanceChange(ChangeKind.LEFT, before)
        kind = ChangeKind.JOINED if before is None else ChangeKind.CHANGED
        return InstanceChange(kind, now)


class InstanceView:
    """The instances of a service, kept up to date in the background; asking costs nothing.

    It answers from what it knew last while the store can't be reached.
    """

    def __init__(self, service: str, clock: Clock, randomness: Randomness) -> None:
        self._service = service
        self._clock = clock
        self._randomness = randomness
        self._roll = Roll()
        self._changed = asyncio.Event()
        self._turns: dict[str, float] = {}
        """How much each instance is owed: its weight at each pick, less all weights when picked."""
        self._down: dict[str, int] = {}
        """Until when an instance is passed over, by its id."""

    @property
    def instances(self) -> list[Instance]:
        """Who is there now, by id."""
        known = self._roll.instances.copy()
        return [known[identifier] for identifier in sorted(known)]

    def pick(self) -> Instance:
        """Return the next one in turn, each as often as its weight says. Raises NoInstance."""
        best, most, total = None, -math.inf, 0
        for instance in self._pickable():
            total += instance.weight
            owed = self._turns.get(instance.id)
            if owed is None:
                # Many clients that begin at once do not all begin with the same one.
                owed = self._randomness.uniform(0, instance.weight)
            owed += instance.weight
            self._turns[instance.id] = owed
            if owed > most:
                best, most = instance, owed
        if best is None:
            raise self._nobody()
        self._turns[best.id] -= total
        return best

    def pick_for(self, key: str | bytes) -> Instance:
        """Return the same one for the same key, in every client. Raises NoInstance.

        When one comes or goes, only the keys that it has or had move. Weights count.
        """
        text = key.encode() if isinstance(key, str) else key
        pickable = self._pickable()
        if not pickable:
            raise self._nobody()
        return min(pickable, key=lambda instance: (_distance(text, instance), instance.id))

    def report_down(self, instance: Instance, seconds: float = DOWN_SECONDS) -> None:
        """Pass it over for so long, in this view, unless it says something new of itself.

        When all are reported down, all are picked again: one of them may be better than none.
        """
        if instance.id in self._roll.instances:
            self._down[instance.id] = self._clock.monotonic() + int(seconds * SECOND)

    async def wait(self, count: int = 1) -> None:
        """Return once so many that can be picked are there."""
        while sum(instance.weight > 0 for instance in self.instances) < count:
            await self._changed.wait()

    def follow(self, change: MemberChange) -> None:
        """Follow one change of the group."""
        meant = self._roll.take(change)
        if meant is None:
            return
        self._down.pop(meant.instance.id, None)
        if meant.kind is ChangeKind.LEFT:
            self._turns.pop(meant.instance.id, None)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _pickable(self) -> list[Instance]:
        willing = [instance for instance in self.instances if instance.weight > 0]
        now = self._clock.monotonic()
        up = [instance for instance in willing if self._down.get(instance.id, 0) <= now]
        return up or willing

    def _nobody(self) -> NoInstance:
        return NoInstance(
            f"no instance of the service {self._service!r} is there: wait for one with "
            "view.wait(), or start one"
        )


def _distance(key: bytes, instance: Instance) -> float:
    """How far a key is from an instance, the same everywhere: rendezvous hashing with weights."""
    # An instance that was started again at its address keeps its keys.
    place = hashlib.blake2b(key, digest_size=8, person=b"quorate", salt=_salt(instance)).digest()
    return -math.log((int.from_bytes(place) + 1) / 2**64) / instance.weight


def _salt(instance: Instance) -> bytes:
    return hashlib.blake2b(instance.address.encode(), digest_size=16).digest()

"""Configuration that all share: typed, validated before it is written, watched, rolled back.

A configuration is one key with JSON in it, so that all of it changes at one revision. Its type
is whatever msgspec can convert, a struct as a rule: what does not fit is refused by whoever
writes, and whoever reads something that a newer release wrote is told so.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from quorate.errors import InvalidRequest
from quorate.recipes.changes import changed, seen
from quorate.store.compare import mod_revision
from quorate.store.port import Store
from quorate.store.types import KeyValue, Put

Value = TypeVar("Value")


class Version(NamedTuple, Generic[Value]):
    """A configuration as of one revision; 0 is the default that nobody has written."""

    value: Value
    revision: int


class Config(Generic[Value]):
    """A named configuration of one type. `default` counts until somebody writes."""

    def __init__(self, store: Store, name: str, default: Value) -> None:
        if not name:
            raise InvalidRequest("a configuration needs a name")
        self._store = store
        self._key = f"{name}/config".encode()
        self._default = default
        self._type: type[Value] = type(default)

    async def get(self) -> Version[Value]:
        """Return what counts now. Raises InvalidRequest when it is not of this type."""
        return self._version(await self._store.get(self._key))

    async def at(self, revision: int) -> Version[Value]:
        """Return what counted at a past revision. Raises Compacted, FutureRevision."""
        return self._version(await self._store.get(self._key, revision=revision))

    async def set(self, value: Value) -> int:
        """Write, whatever is there, and return the revision."""
        return await self._store.put(self._key, self._encode(value))

    async def update(self, change: Callable[[Value], Value]) -> Version[Value]:
        """Write what `change` makes of what is there; it is called anew when others wrote first."""
        while True:
            seen = await self.get()
            value = change(seen.value)
            result = await self._store.commit(
                when=[mod_revision(self._key) == seen.revision],
                then=[Put(self._key, self._encode(value))],
            )
            if result.succeeded:
                return Version(value, result.revision)

    async def roll_back(self, revision: int) -> Version[Value]:
        """Write again what counted at a past revision."""
        past = await self.at(revision)
        return Version(past.value, await self.set(past.value))

    async def changes(self) -> AsyncGenerator[Version[Value], None]:
        """Give what counts now, and each version to come; of several at once the last."""
        told = -1
        while True:
            found, revision = await seen(self._store, self._key)
            current = self._version(found)
            if current.revision != told:
                told = current.revision
                yield current
            await changed(self._store, self._key, None, revision)

    def _version(self, found: KeyValue | None) -> Version[Value]:
        if found is None:
            return Version(self._default, 0)
        try:
            value = msgspec.json.decode(found.value, type=self._type)
        except msgspec.MsgspecError as error:
            raise InvalidRequest(
                f"the configuration {self._key.decode()!r} of revision {found.mod_revision} is no "
                f"{self._type.__name__} ({error}): use the release that wrote it, or roll it back"
            ) from error
        return Version(value, found.mod_revision)

    def _encode(self, value: Value) -> bytes:
        data = msgspec.json.encode(value)
        try:
            msgspec.json.decode(data, type=self._type)
        except msgspec.MsgspecError as error:
            raise InvalidRequest(
                f"this is no {self._type.__name__}: {error}; nothing was written"
            ) from error
        return data

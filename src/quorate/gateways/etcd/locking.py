"""The Lock service: a lock as long as its lease lives.

Law: a lock is answered only while its key is still there, looked at after the wait: a lease
that ended meanwhile must never seem to hold one.
Source: etcd 3.5, `server/etcdserver/api/v3lock/lock.go`.
"""

from __future__ import annotations

from typing import Any, Final

from quorate.codecs.etcd.messages import MESSAGES
from quorate.engines.cluster import ClusterStore
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.queueing import contending, enter, first

_LockResponse: Final = MESSAGES["LockResponse"]
_UnlockResponse: Final = MESSAGES["UnlockResponse"]
SESSION_EXPIRED: Final = "mutex: session is expired"


class LockService:
    """etcd's v3lock over a cluster."""

    def __init__(self, store: ClusterStore, headers: Headers) -> None:
        self._store = store
        self._headers = headers

    async def lock(self, request: Any) -> Any:
        """Wait for a lock; without a lease it is given one of a minute."""
        place = await enter(self._store, request.name, b"", request.lease)
        async with contending(self._store, place):
            revision = await first(self._store, place, SESSION_EXPIRED)
        return _LockResponse(header=self._headers.at(revision), key=place.key)

    async def unlock(self, request: Any) -> Any:
        """Give a lock up by the key that it was answered with."""
        result = await self._store.delete(request.key)
        return _UnlockResponse(header=self._headers.at(result.revision))

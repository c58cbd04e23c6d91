"""A fence in the Store: all processes of a service share it, and it outlives them."""

from __future__ import annotations

from typing import Final

from quorate.errors import StaleToken
from quorate.fencing.fence import check_names
from quorate.store.compare import mod_revision
from quorate.store.port import Store
from quorate.store.types import Put

PREFIX: Final = "fences"


class StoreFence:
    """A fence under `prefix` in a store, one key for each resource: `StoreFence(client.store)`.

    A token that was let in before costs one read, a new one a commit more.
    """

    def __init__(self, store: Store, prefix: str = PREFIX) -> None:
        self._store = store
        self._prefix = prefix

    async def admit(self, resource: str, token: int) -> None:
        """Let a token in and remember it; raises StaleToken, InvalidRequest.

        Unavailable and OutcomeUnknown mean that it was not let in; after the second, lower ones
        may be refused already.
        """
        check_names(resource, token)
        key = f"{self._prefix}/{resource}".encode()
        while True:
            found = await self._store.get(key)
            highest = int(found.value) if found is not None else 0
            if token < highest:
                raise StaleToken(resource, token, highest)
            if token == highest:
                return
            seen = found.mod_revision if found is not None else 0
            result = await self._store.commit(
                when=[mod_revision(key) == seen], then=[Put(key, b"%d" % token)]
            )
            if result.succeeded:
                return

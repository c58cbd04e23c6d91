"""What a fence is: the highest token that a resource has seen, and the refusal of any lower.

An equal token is let in, since one holder writes many times.
"""

from __future__ import annotations

from typing import Final, Protocol

from quorate.errors import InvalidRequest, StaleToken

TOKEN_MAX: Final = 2**63 - 1
"""Tokens are revisions, which every engine and every database keeps in 64 bits."""
RESOURCE_CHARACTERS_MAX: Final = 255
"""What a key of every database can hold."""


class Held(Protocol):
    """What a holder has in hand: a lock, an election or a semaphore of one permit."""

    @property
    def name(self) -> str:
        """What is held."""

    @property
    def token(self) -> int:
        """The fencing token."""

    def check(self) -> None:
        """Raise LockLost unless it can be proven at this moment that it is held."""


class Fence(Protocol):
    """The memory of a guard."""

    async def admit(self, resource: str, token: int) -> None:
        """Let a token in and remember it; every lower one is refused from then on.

        Raises StaleToken when a higher one was let in before, InvalidRequest for a resource or
        a token that can be none. Whatever else it raises, the token was not let in.
        """


class MemoryFence:
    """A fence in this process: it ends with it, and no other process sees it.

    It remembers one number for each resource, and forgets none.
    """

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}

    async def admit(self, resource: str, token: int) -> None:
        """Let a token in and remember it; raises StaleToken, InvalidRequest."""
        check_names(resource, token)
        highest = self._highest.get(resource, 0)
        if token < highest:
            raise StaleToken(resource, token, highest)
        self._highest[resource] = token


def check_names(resource: str, token: int) -> None:
    """Raise InvalidRequest for a resource or a token that can be none."""
    if not 0 < len(resource) <= RESOURCE_CHARACTERS_MAX or "\x00" in resource:
        raise InvalidRequest(
            f"a fence's resource has a name of 1 to {RESOURCE_CHARACTERS_MAX} characters without "
            f"NUL, not {resource[:300]!r}"
        )
    if not 0 < token <= TOKEN_MAX:
        raise InvalidRequest(f"a fencing token is what a holder has as held.token, not {token}")

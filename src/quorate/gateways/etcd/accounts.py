"""The Auth service, as long as there are no users: nobody has to say who they are."""

from __future__ import annotations

from typing import Any

from quorate.codecs.etcd import failures
from quorate.codecs.etcd.messages import MESSAGES
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.refusals import refuse


class AuthService:
    """etcd's Auth of a cluster without users."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    async def status(self, _: Any) -> Any:
        """Tell that authentication is off."""
        return MESSAGES["AuthStatusResponse"](header=self._headers.latest(), authRevision=1)

    async def authenticate(self, _: Any) -> Any:
        """Refuse, since there is nobody to be."""
        raise refuse(failures.AUTH_NOT_ENABLED)

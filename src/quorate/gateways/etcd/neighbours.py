"""What the nodes say of themselves: whether they run, and where they speak etcd's API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from quorate.engines.cluster.probe import probe
from quorate.errors import QuorateError
from quorate.kv.requests import MemberStatus, Status
from quorate.runtime.transport.tls import TlsConfig

PATIENCE_SECONDS: Final = 0.5


class Neighbours:
    """Asks members how they are. One that does not answer keeps the address it had."""

    def __init__(self, cluster: int, tls: TlsConfig | None) -> None:
        self._cluster = cluster
        self._tls = tls
        self._addresses: dict[int, str] = {}

    async def look(self, members: Sequence[MemberStatus]) -> dict[int, Status]:
        """Return the status of each member that answers, by its id."""
        found = await asyncio.gather(*(self._ask(member) for member in members))
        answers = {
            member.id: status
            for member, status in zip(members, found, strict=True)
            if status is not None and status.node_id == member.id
        }
        self._addresses |= {member: status.etcd for member, status in answers.items()}
        return answers

    def etcd_address(self, member: int) -> str:
        """Return where a member was last known to speak etcd's API, empty if nowhere."""
        return self._addresses.get(member, "")

    async def _ask(self, member: MemberStatus) -> Status | None:
        try:
            return await probe(
                member.address, self._cluster, tls=self._tls, patience=PATIENCE_SECONDS
            )
        except (QuorateError, OSError):
            return None

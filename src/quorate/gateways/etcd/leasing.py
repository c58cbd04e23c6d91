"""The Lease service.

Times are whole seconds here. A lease that is gone has a ttl of 0 in the answer to a
keep-alive, and of -1 in the answer to a question.
Source: etcd 3.5, `server/etcdserver/v3_server.go` and `api/v3rpc/lease.go`.
"""

from __future__ import annotations

from typing import Any, Final

from quorate.codecs.etcd import failures
from quorate.codecs.etcd.messages import MESSAGES
from quorate.engines.cluster import ClusterStore
from quorate.errors import LeaseNotFound
from quorate.gateways.etcd.commits import NO_LEASE, PRESENT
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.refusals import refuse
from quorate.gateways.grpc.methods import StreamCall

_GrantResponse: Final = MESSAGES["LeaseGrantResponse"]
_RevokeResponse: Final = MESSAGES["LeaseRevokeResponse"]
_KeepAliveResponse: Final = MESSAGES["LeaseKeepAliveResponse"]
_TimeToLiveResponse: Final = MESSAGES["LeaseTimeToLiveResponse"]
_LeasesResponse: Final = MESSAGES["LeaseLeasesResponse"]
_LeaseStatus: Final = MESSAGES["LeaseStatus"]
TTL_SECONDS_MAX: Final = 9_000_000_000


class LeaseService:
    """etcd's Lease over a store."""

    def __init__(self, store: ClusterStore, headers: Headers) -> None:
        self._store = store
        self._headers = headers

    async def grant(self, request: Any) -> Any:
        """Grant a lease."""
        if request.TTL > TTL_SECONDS_MAX:
            raise refuse(failures.LEASE_TTL_TOO_LARGE)
        if request.ID == NO_LEASE:
            raise refuse(failures.LEASE_EXISTS)
        ttl = float(request.TTL)
        store = self._store
        granting = store.grant_lease(request.ID, ttl) if request.ID else store.grant(ttl)
        granted = await granting
        return _GrantResponse(header=self._headers.latest(), ID=granted.id, TTL=int(granted.ttl))

    async def revoke(self, request: Any) -> Any:
        """End a lease, and delete its keys."""
        await self._store.revoke(request.ID)
        # Its keys went at a revision that only the store knows.
        present = await self._store.range(PRESENT)
        return _RevokeResponse(header=self._headers.at(present.revision))

    async def keep_alive(self, call: StreamCall) -> None:
        """Renew leases as long as the client asks."""
        while (request := await call.receive()) is not None:
            try:
                ttl = int(await self._store.keep_alive(request.ID))
            except LeaseNotFound:
                ttl = 0
            header = self._headers.latest()
            await call.send(_KeepAliveResponse(header=header, ID=request.ID, TTL=ttl))

    async def time_to_live(self, request: Any) -> Any:
        """Tell what remains of a lease."""
        header = self._headers.latest()
        try:
            status = await self._store.time_to_live(request.ID)
        except LeaseNotFound:
            return _TimeToLiveResponse(header=header, ID=request.ID, TTL=-1)
        return _TimeToLiveResponse(
            header=header,
            ID=request.ID,
            TTL=int(status.remaining),
            grantedTTL=int(status.ttl),
            keys=status.keys if request.keys else (),
        )

    async def leases(self, _: Any) -> Any:
        """List the leases."""
        found = await self._store.leases()
        return _LeasesResponse(
            header=self._headers.latest(), leases=[_LeaseStatus(ID=lease) for lease in found]
        )

"""The Maintenance service: how a member is, its alarms, hashes and backups.

A member's store is in memory and its log is cut by snapshots, so there is nothing to defragment.
A backup streams as `quorate snapshot save` writes it, padded to blocks of 512 bytes and followed
by its SHA-256, because that is how etcd's tools tell a whole one.
Source: etcd 3.5, `server/etcdserver/api/v3rpc/maintenance.go`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from google_crc32c import extend

from quorate.codecs.etcd import failures
from quorate.codecs.etcd.messages import MESSAGES
from quorate.engines.cluster import ClusterStore
from quorate.gateways.etcd.header import Headers
from quorate.gateways.etcd.local import LocalNode
from quorate.gateways.etcd.neighbours import Neighbours
from quorate.gateways.etcd.refusals import refuse
from quorate.gateways.grpc.codes import Code, RpcError
from quorate.gateways.grpc.methods import StreamCall
from quorate.kv.requests import Status
from quorate.node.data_directory import GROUP
from quorate.runtime.sealed_file import padding
from quorate.runtime.snapshot_format import (
    SnapshotMeta,
    encode_chunk,
    encode_footer,
    encode_header,
)

ETCD_VERSION: Final = "3.5.17"
"""The release whose API this is: clients decide by it what they may ask."""
NO_SPACE: Final = 1
GET: Final = 0


class MaintenanceService:
    """etcd's Maintenance of one node."""

    def __init__(
        self, store: ClusterStore, headers: Headers, node: LocalNode, neighbours: Neighbours
    ) -> None:
        self._store = store
        self._headers = headers
        self._node = node
        self._neighbours = neighbours

    async def alarm(self, request: Any) -> Any:
        """List the members that refuse writes for want of space; such an alarm ends by itself."""
        if request.action != GET and request.alarm != NO_SPACE:
            raise RpcError(
                Code.FAILED_PRECONDITION,
                "etcdserver: alarms are raised and ended by the state itself: make room, or "
                "replace the member",
            )
        members = (await self._store.members()).members
        statuses = await self._neighbours.look(members)
        full = [each for each, status in statuses.items() if self._is_full(status)]
        wanted = [each for each in full if request.memberID in (0, each)]
        raised = wanted if request.action == GET and request.alarm in (0, NO_SPACE) else []
        return MESSAGES["AlarmResponse"](
            header=self._headers.latest(),
            alarms=[MESSAGES["AlarmMember"](memberID=each, alarm=NO_SPACE) for each in raised],
        )

    def _is_full(self, status: Status) -> bool:
        return status.store_bytes >= self._node.quota_bytes

    async def status(self, _: Any) -> Any:
        """Tell how this member is."""
        status = self._node.status()
        return MESSAGES["StatusResponse"](
            header=self._headers.at(status.revision),
            version=ETCD_VERSION,
            dbSize=status.store_bytes,
            dbSizeInUse=status.store_bytes,
            leader=status.leader,
            raftIndex=status.commit_index,
            raftTerm=status.term,
            raftAppliedIndex=status.applied_index,
            errors=[] if status.leader else [failures.NO_LEADER.text],
            isLearner=self._node.is_learner,
        )

    async def defragment(self, _: Any) -> Any:
        """Do nothing, since nothing is ever fragmented."""
        return MESSAGES["DefragmentResponse"](header=self._headers.latest())

    async def hash(self, _: Any) -> Any:
        """Hash all keys as they are now on this member."""
        found = await self._node.hash_keys(0)
        return MESSAGES["HashResponse"](header=self._headers.at(found.revision), hash=found.hash)

    async def hash_kv(self, request: Any) -> Any:
        """Hash all keys as of a revision on this member."""
        found = await self._node.hash_keys(max(0, request.revision))
        return MESSAGES["HashKVResponse"](
            header=self._headers.at(self._node.status().revision),
            hash=found.hash,
            compact_revision=found.compact_revision or -1,
        )

    async def snapshot(self, call: StreamCall) -> None:
        """Stream the whole store as of now."""
        await call.receive()
        stream = self._store.save_snapshot()
        start = await stream.begin()
        meta = SnapshotMeta(GROUP, start.index, start.term, start.configuration)
        digest = hashlib.sha256()
        size = body = checksum = 0
        response = MESSAGES["SnapshotResponse"]

        async def send(part: bytes) -> None:
            nonlocal size
            size += len(part)
            digest.update(part)
            await call.send(response(header=self._headers.latest(), blob=part))

        header = encode_header(meta)
        checksum = extend(checksum, header)
        await send(header)
        async for chunk in stream:
            part = encode_chunk(chunk)
            checksum = extend(checksum, part)
            body += len(chunk)
            await send(part)
        await send(encode_footer(body, checksum))
        await send(padding(size))
        await call.send(response(header=self._headers.latest(), blob=digest.digest()))

    async def move_leader(self, request: Any) -> Any:
        """Hand leadership to a voter."""
        members = (await self._store.members()).members
        voters = [member.id for member in members if member.part == "voter"]
        if request.targetID not in voters:
            raise refuse(failures.BAD_LEADER_TRANSFEREE)
        await self._store.transfer_leadership(request.targetID)
        return MESSAGES["MoveLeaderResponse"](header=self._headers.latest())

    async def downgrade(self, _: Any) -> Any:
        """Refuse: there is no earlier release of etcd to go back to."""
        raise RpcError(
            Code.FAILED_PRECONDITION, "etcdserver: this is not an etcd server: no downgrade"
        )

"""`Node`: the composition of the real thing, and its life from start to stop.

This is the only place that picks implementations. The order of starting is the order of
trust: lock the directory, recover the disk, restore the machine, then listen.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from quorate.errors import ConfigurationError, StorageError
from quorate.kv.compaction import CompactionPolicy
from quorate.kv.lessor import Lessor
from quorate.kv.machine import KeyValueMachine
from quorate.kv.requests import Status
from quorate.kv.watches import WatchHub
from quorate.node import data_directory
from quorate.node.acquaintances import Acquaintances
from quorate.node.config import NodeConfig, Tuning, split_address
from quorate.node.data_directory import GROUP, SNAPSHOTS, WAL
from quorate.node.http import HttpServer
from quorate.node.identity import Identity, first_identity, load_identity, save_identity
from quorate.node.joining import joined_identity
from quorate.node.leadership import Leadership
from quorate.node.post import Post
from quorate.node.replica import Replica
from quorate.node.service import Service
from quorate.node.trust import names_member
from quorate.protocol.raft import HardState, Member, Message, Raft, SnapshotIdentity
from quorate.protocol.raft.configuration import decode_configuration
from quorate.protocol.raft.messages import AppendRequest
from quorate.protocol.raft.output import Role as RaftRole
from quorate.protocol.raft.output import RoleChange
from quorate.runtime.host import Group, Journal
from quorate.runtime.host.snapshotting import Snapshotting
from quorate.runtime.ports import Ports
from quorate.runtime.real_ports import real_ports
from quorate.runtime.scope import TaskScope
from quorate.runtime.snapshots import SnapshotStore
from quorate.runtime.transport.connection import Connection, ConnectionLimits
from quorate.runtime.transport.dial import Dialer
from quorate.runtime.transport.hello import (
    PROTOCOL_VERSION,
    Answer,
    Hello,
    Refusal,
    RefusalCode,
    Role,
    Welcome,
    judge_hello,
)
from quorate.runtime.transport.peers import LinkEvents, PeerLinks
from quorate.runtime.transport.server import Listener, Reception
from quorate.runtime.transport.tls import ReloadingContext
from quorate.runtime.wal import GroupWrite, RecoveredGroup, Wal
from quorate.store.limits import Limits

VERSION: Final = importlib.metadata.version("quorate")
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024

logger = logging.getLogger("quorate.node")


class Node:
    """One node. `failed` is resolved when it must stop by itself, with the reason."""

    def __init__(
        self,
        config: NodeConfig,
        limits: Limits | None = None,
        *,
        tuning: Tuning | None = None,
        ports: Ports | None = None,
    ) -> None:
        self.config = config
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._limits = limits or Limits()
        self._tuning = tuning or Tuning()
        self._ports = ports = ports or real_ports()
        self._files = ports.files
        self._clock = ports.clock
        self._randomness = ports.randomness
        self._network = ports.network
        self._disk = ports.background("quorate-log")
        self._bulk_disk = ports.background("quorate-snapshot")
        self._scope = TaskScope(lambda _, error: self._fail(error))
        self._machine = KeyValueMachine(self._limits)
        self._identity: Identity
        self._group: Group
        self._service: Service
        self._leadership: Leadership
        self._links: PeerLinks
        self._listener: Listener
        self._journal: Journal
        self._wal: Wal
        self._snapshotting: Snapshotting
        self.http = HttpServer(lambda: self.status(0), self._counters)
        self.etcd = ""
        """Where a gateway serves etcd's clients for this node, empty where none does."""
        self._acquaintances: Acquaintances
        self._unlock: Callable[[], None] = _nothing
        self.on_assembled: Callable[[Group, KeyValueMachine], None] = lambda *_: None
        self._leads = False
        self._knows_leader = False

    async def start(self) -> None:
        """Recover and serve; raises ConfigurationError, StorageError or OSError."""
        directory = self.config.data_dir
        self._files.make_directory(directory)
        self._unlock = data_directory.lock(self._files, directory)
        try:
            await self._start(directory)
        except BaseException:
            # Whoever can do better may have the directory.
            self._unlock()
            raise

    async def _start(self, directory: str) -> None:
        if data_directory.is_unfinished(self._files, directory):
            raise ConfigurationError(
                f"a restore or recovery of {directory} did not end: run quorate recover again, "
                "or empty the directory and run quorate snapshot restore again"
            )
        self._identity = await self._identify()
        self._assemble()
        await self._listen()
        self._group.start()
        logger.info("%s serves %s", self.config.name, self.config.address)

    async def stop(self) -> None:
        """Hand leadership over if need be, and stop; what was acknowledged is on disk."""
        self._group.transfer(0)
        self._leadership.close()
        self._service.close()
        await self._listener.close()
        await self._links.close()
        await self.http.close()
        self._group.close()
        self._journal.close()
        await self._scope.close()
        self._disk.close()
        self._bulk_disk.close()
        self._wal.close()
        self._unlock()

    @property
    def applied_index(self) -> int:
        """The last log entry that the machine has taken."""
        return self._group.applied_index

    @property
    def last_batch(self) -> int:
        """The number of the last batch that is on disk."""
        return self._wal.last_batch

    @property
    def port(self) -> int:
        """The port that clients and peers reach."""
        return self._listener.port

    @property
    def machine(self) -> KeyValueMachine:
        """The replicated state, to look at."""
        return self._machine

    @property
    def term(self) -> int:
        """The current term of its consensus."""
        return self._group.raft.term

    def status(self, request: int) -> Status:
        """Return how this node is, as the answer to a request."""
        raft = self._group.raft
        return Status(
            id=request,
            cluster_id=self._identity.cluster_id,
            node_id=self._identity.node_id,
            name=self.config.name,
            role=raft.role.value,
            term=raft.term,
            leader=raft.leader,
            commit_index=raft.commit_index,
            applied_index=self._group.applied_index,
            revision=self._machine.revision,
            store_bytes=self._machine.size_bytes,
            version=VERSION,
            healthy=not self.failed.done() and not self._journal.disk_full,
            etcd=self.etcd,
        )

    @property
    def is_learner(self) -> bool:
        """Whether the node belongs to its cluster without a vote."""
        return self._identity.node_id in self._group.raft.configuration.learners

    async def _identify(self) -> Identity:
        identity = load_identity(self._files, self.config.data_dir)
        if identity is None:
            if self.config.join:
                identity = await joined_identity(self.config, self._ports)
            else:
                identity = first_identity(self.config)
            save_identity(self._files, self.config.data_dir, identity)
        if identity.name != self.config.name:
            raise ConfigurationError(
                f"{self.config.data_dir} belongs to the node {identity.name!r}, not to "
                f"{self.config.name!r}: choose another --data-dir"
            )
        return identity

    def _assemble(self) -> None:
        directory = self.config.data_dir
        self._wal, groups = Wal.open(
            self._files,
            f"{directory}/{WAL}",
            segment_bytes=self._tuning.segment_bytes,
            salt=self._randomness.bits(32),
        )
        store = SnapshotStore(self._files, f"{directory}/{SNAPSHOTS}/{GROUP}")
        raft, applied = self._recover(groups.get(GROUP), store)
        self._journal = Journal(
            self._wal,
            self._disk,
            on_fatal=self._fail,
            on_disk_full=self._disk_full,
        )
        hub = WatchHub(self._machine, replay_changes=self._tuning.replay_changes)
        post = Post(self._deliver)
        self._group = group = Group(
            GROUP,
            raft,
            Replica(self._machine),
            journal=self._journal,
            mailbox=post,
            clock=self._clock,
            applied_index=applied,
        )
        self._snapshotting = Snapshotting(
            group,
            store,
            journal=self._journal,
            background=self._bulk_disk,
            scope=self._scope,
            after_entries=self.config.snapshot_entries,
        )
        group.snapshots = self._snapshotting
        self._leadership = Leadership(
            group, self._machine, Lessor(), CompactionPolicy(self._limits)
        )
        self._service = Service(
            group,
            self._machine,
            hub,
            self._leadership,
            self.status,
            refuses_writes=lambda: self._journal.refuses,
        )
        group.on_role = self._role_changed
        group.on_applied = self._applied
        group.on_configuration = self._configuration_changed
        group.on_fatal = self._fail
        self._acquaintances = Acquaintances(self._identity.node_id, self._identity.contacts)
        self._acquaintances.update(raft.configuration.members, raft.core.configuration_index)
        self.on_assembled(group, self._machine)
        self._links = self._connect_peers(post)
        self._post = post
        self._scope.spawn(self._journal.run(), "journal")

    def _recover(self, recovered: RecoveredGroup | None, store: SnapshotStore) -> tuple[Raft, int]:
        """Restore the machine from the newest snapshot, and Raft from it and the log."""
        snapshot = store.latest()
        if store.damaged:
            raise StorageError(
                f"the snapshots {', '.join(store.damaged)} are damaged: remove this member and "
                "add it anew, so that it gets the state from the others"
            )
        base, identity, configuration = (0, 0), None, self._identity.configuration
        if snapshot is not None:
            self._machine.restore(store.read_chunks(snapshot))
            base = (snapshot.index, snapshot.term)
            identity = SnapshotIdentity(
                snapshot.index,
                snapshot.term,
                snapshot.size,
                snapshot.checksum,
                snapshot.configuration,
            )
            configuration = decode_configuration(snapshot.configuration)
        recovered = recovered or RecoveredGroup(HardState(), [], (0, 0))
        entries = recovered.continuing(*base)
        if recovered.snapshot[0] < base[0]:
            # The node stopped before the log was told; entries go on only where it knows.
            log_end = recovered.entries[-1].index if recovered.entries else 0
            cut = base[0] + 1 if not entries and log_end > base[0] else 0
            self._wal.append([GroupWrite(GROUP, truncate_from=cut, snapshot=base)])
        raft = Raft(
            node=self._identity.node_id,
            at=self._clock.monotonic(),
            jitter=lambda: self._randomness.uniform(0.0, 1.0),
            config=self._tuning.raft,
            configuration=configuration,
            hard_state=recovered.hard_state,
            base=base,
            entries=entries,
            snapshot=identity,
        )
        return raft, base[0]

    def _connect_peers(self, post: Post) -> PeerLinks:
        tls = self.config.tls
        dialer = Dialer(
            self._network,
            ReloadingContext.for_client(tls) if tls else None,
            ConnectionLimits(frame_bytes=FRAME_BYTES_MAX),
        )
        hello = Hello(
            PROTOCOL_VERSION,
            Role.PEER,
            self._identity.cluster_id,
            self._identity.node_id,
            address=self.config.address,
        )
        events = LinkEvents(
            on_up=lambda _: None,
            on_down=self._group.disconnected,
            on_error=lambda _, error: self._fail(error),
        )
        links = PeerLinks(dialer, hello, self._randomness, events)
        post.connect(links)
        links.update(self._acquaintances.addresses)
        return links

    async def _listen(self) -> None:
        reception = Reception(
            welcome=self._welcome,
            on_open=self._opened,
            on_peer_frames=self._peer_frames,
            on_bulk_frames=self._peer_frames,
            on_lost=lambda connection, _: self._service.lost(connection),
        )
        limits = ConnectionLimits(frame_bytes=FRAME_BYTES_MAX)
        self._listener = Listener(self._network, reception, limits=limits)
        host, port = split_address(self.config.listen)
        tls = self.config.tls
        context = ReloadingContext.for_server(tls) if tls else None
        await self._listener.start(host, port, tls=context)
        if self.config.http:
            await self.http.start(*split_address(self.config.http))

    def _welcome(self, hello: Hello, connection: Connection) -> Answer:
        refusal = judge_hello(
            hello,
            cluster_id=self._identity.cluster_id,
            is_member=self._acquaintances.is_welcome,
        )
        if refusal is None:
            refusal = self._judge_certificate(hello, connection)
        if refusal is not None:
            return refusal
        return Welcome(
            PROTOCOL_VERSION,
            self._identity.cluster_id,
            self._identity.node_id,
            0,
            self._group.raft.commit_index,
            self._service.leader_address,
            tuple(member.address for member in self._group.raft.configuration.members),
        )

    def _judge_certificate(self, hello: Hello, connection: Connection) -> Refusal | None:
        if self.config.tls is None or hello.role is Role.CLIENT:
            return None
        member = next(
            (each for each in self._members() if each.id == hello.node_id),
            # A node that joins does not know everybody yet: it takes the peer at its word for
            # the address, which the certificate then has to name.
            Member(hello.node_id, "", hello.address),
        )
        names = connection.peer_names
        if names_member(names, member):
            return None
        return Refusal(
            RefusalCode.CREDENTIAL,
            f"the certificate of {', '.join(names) or 'nobody'} does not name the member "
            f"{member.name or hello.node_id} at {member.address}: give that node a certificate "
            "with its name or the host of its address",
        )

    def _opened(self, connection: Connection, hello: Hello) -> None:
        if hello.role is Role.CLIENT:
            connection.on_frames = self._service.received
            connection.on_writable = self._service.writable_again
            self._service.opened(connection)
        elif self._acquaintances.introduce(hello.node_id, hello.address):
            self._links.update(self._acquaintances.addresses)

    def _peer_frames(self, sender: int, frames: list[bytes]) -> None:
        try:
            self._post.received(sender, frames)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            logger.warning("node %x sent a message that is none of ours", sender)

    def _deliver(self, sender: int, group: int, message: Message) -> None:
        if group != GROUP:
            return
        if self._journal.disk_full and type(message) is AppendRequest:
            # Memory must not take what the disk can't: the leader sends it again.
            return
        self._group.receive(sender, message)

    def _members(self) -> tuple[Member, ...]:
        return self._group.raft.configuration.members or self._identity.contacts

    def _configuration_changed(self) -> None:
        core = self._group.raft.core
        self._acquaintances.update(core.configuration.members, core.configuration_index)
        self._links.update(self._acquaintances.addresses)
        self._service.members_changed()

    def _role_changed(self, change: RoleChange) -> None:
        logger.info(
            "%s is %s in term %d, leader %x",
            self.config.name,
            change.role.value,
            change.term,
            change.leader,
        )
        if self._leads and change.role is not RaftRole.LEADER:
            self._service.stepped_down()
        elif change.leader and not self._knows_leader:
            self._service.leader_found()
        self._leads = change.role is RaftRole.LEADER
        self._knows_leader = bool(change.leader)
        self._leadership.update()

    def _applied(self) -> None:
        self._leadership.update()
        self._service.deliver_events()

    def _disk_full(self) -> None:
        logger.error("the disk of %s is full: make room", self.config.data_dir)
        # Again with each try: who was to take over may have been away.
        self._group.transfer(0)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            logger.critical("%s stops: %s", self.config.name, error, exc_info=error)
            self._group.close()
            self.failed.set_result(error)

    def _counters(self) -> dict[str, float]:
        raft = self._group.raft
        return {
            "term": raft.term,
            "is_leader": float(raft.leader == self._identity.node_id),
            "commit_index": raft.commit_index,
            "applied_index": self._group.applied_index,
            "store_revision": self._machine.revision,
            "store_size_bytes": self._machine.size_bytes,
            "log_size_bytes": self._wal.size_bytes,
            "log_syncs_total": self._journal.syncs,
            "connections": self._listener.connections,
        }


def _nothing() -> None:
    """What is to be unlocked before anything was locked."""

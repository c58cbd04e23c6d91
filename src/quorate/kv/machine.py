"""The replicated machine: log entries in, outcomes out, the same on every node.

Laws: `apply` depends on the entries alone; it reads no clock and follows no hash order. A
command that makes no sense is refused, and never stops a node; an entry that this version
can't read stops it, because guessing would make the nodes differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from quorate.kv import reads, snapshot
from quorate.kv.commands import (
    LEADER_COMMANDS,
    CheckpointLeases,
    Compact,
    Enqueue,
    Envelope,
    ExpireLeases,
    ExpireSessions,
    GrantLease,
    Outcome,
    Refusal,
    RefusalCode,
    RevokeLease,
    decode_commands,
    decode_outcomes,
)
from quorate.kv.entries import (
    LEADERS_ONLY,
    MALFORMED,
    SESSION_EXPIRED,
    read_batch,
    refuse_all,
    remembered,
)
from quorate.kv.history import History
from quorate.kv.leases import LeaseTable
from quorate.kv.observer import Observer
from quorate.kv.operations import CommitRun
from quorate.kv.refuse import (
    CommandRefusedError,
    check_revision,
    compacted,
    empty_key,
    invalid,
    lease_not_found,
    limit_exceeded,
    quota_exceeded,
)
from quorate.kv.sessions import SessionTable
from quorate.kv.shape import check_commit, check_key_value, commit_depth
from quorate.kv.state import State
from quorate.store.limits import Limits
from quorate.store.types import (
    Commit,
    Delete,
    DeleteRange,
    DeleteResult,
    Enqueued,
    Get,
    KeyValue,
    Put,
    Range,
    RangeResult,
)

LEASE_ID_END: Final = 1 << 63
_SHOWN: Final = 64
"""Bytes of a key that a message shows: outcomes are kept, so they stay short."""
_SWEEP_PER_ENTRY: Final = 64
"""Forgotten changes whose memory is given back with each log entry, at least."""


class KeyValueMachine:
    """The key-value state and the commands on it.

    `limits` must be the same on every node of a cluster: refusals are part of the outcome.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._state = State(limits.session_window)
        self._observer: Observer | None = None
        self._index = 0
        self._commands: dict[type, Callable[[Any], Outcome]] = {
            Put: self._put,
            Delete: self._delete,
            DeleteRange: self._delete_range,
            Commit: self._commit,
            Enqueue: self._enqueue,
            GrantLease: self._grant_lease,
            RevokeLease: self._revoke_lease,
            Compact: self._compact,
            ExpireLeases: self._expire_leases,
            CheckpointLeases: self._checkpoint_leases,
            ExpireSessions: self._expire_sessions,
        }
        self._client_commands = {
            command: execute
            for command, execute in self._commands.items()
            if command not in LEADER_COMMANDS
        }

    @property
    def limits(self) -> Limits:
        """The limits that commands are judged by."""
        return self._limits

    @property
    def revision(self) -> int:
        """The revision of the last commit that changed something."""
        return self._state.history.revision

    @property
    def compact_revision(self) -> int:
        """The oldest revision that can be read; watches need a later one. 0: never compacted."""
        return self._state.history.compact_revision

    @property
    def applied_index(self) -> int:
        """The log index of the last entry applied."""
        return self._state.applied_index

    @property
    def time_ms(self) -> int:
        """The last entry's time, Unix milliseconds; information only."""
        return self._state.time_ms

    @property
    def size_bytes(self) -> int:
        """What the quota counts: every version that can be read."""
        return self._state.history.size_bytes

    @property
    def history(self) -> History:
        """The versions; replaced as a whole by `restore`."""
        return self._state.history

    @property
    def lease_table(self) -> LeaseTable:
        """The leases; replaced as a whole by `restore`."""
        return self._state.leases

    @property
    def sessions(self) -> SessionTable:
        """The sessions; replaced as a whole by `restore`."""
        return self._state.sessions

    def observe(self, observer: Observer | None) -> None:
        """Tell `observer` about every change from now on; None: nobody."""
        self._observer = observer

    def apply(self, index: int, data: bytes) -> list[tuple[Envelope, list[Outcome]]]:
        """Apply one log entry and return its envelopes, each with its commands' outcomes.

        Raises `LogDamaged` for an entry that can't be read, and ValueError for one that was
        applied before: both must stop the node.
        """
        state = self._state
        if index <= state.applied_index:
            raise ValueError(f"entry {index} after entry {state.applied_index} was applied")
        batch = read_batch(index, data)
        self._index = index
        history = state.history
        before = history.revision
        state.time_ms = max(state.time_ms, batch.time_ms)
        answers = [(envelope, self._apply_envelope(envelope)) for envelope in batch.envelopes]
        state.applied_index = index
        # Faster than history is made, so that what waits to be given back never piles up.
        history.sweep(_SWEEP_PER_ENTRY + 2 * (history.revision - before))
        return answers

    def _apply_envelope(self, envelope: Envelope) -> list[Outcome]:
        session = None
        if envelope.session:
            admitted = self._state.sessions.admit(
                envelope.session,
                envelope.birth,
                envelope.sequence,
                envelope.acked_upto,
                self._index,
            )
            if admitted is None:
                return refuse_all(envelope.body, SESSION_EXPIRED)
            if isinstance(admitted, bytes):
                return decode_outcomes(admitted)
            session = admitted
        outcomes = self._execute_body(envelope)
        if session is not None:
            session.outcomes[envelope.sequence] = remembered(
                outcomes, self._limits.outcome_bytes_kept
            )
        return outcomes

    def _execute_body(self, envelope: Envelope) -> list[Outcome]:
        body = envelope.body
        try:
            commands = decode_commands(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return refuse_all(body, MALFORMED)
        execute = self._client_commands if envelope.principal else self._commands
        depth_limit = self._limits.commit_depth
        for command in commands:
            if command.__class__ is Commit and commit_depth(command) > depth_limit:
                return refuse_all(body, MALFORMED)
            if command.__class__ not in execute:
                return refuse_all(body, LEADERS_ONLY)
        outcomes: list[Outcome] = []
        for command in commands:
            try:
                outcomes.append(execute[command.__class__](command))
            except CommandRefusedError as refused:
                outcomes.append(refused.refusal)
        return outcomes

    def read(
        self, operations: Sequence[Get | Range]
    ) -> list[KeyValue | RangeResult | Refusal | None]:
        """Read from the state as it is now; one result, or refusal, per operation."""
        history = self._state.history
        limits = self._limits
        live = history.live
        results: list[KeyValue | RangeResult | Refusal | None] = []
        for operation in operations:
            if operation.__class__ is Get and operation.revision <= 0:
                version = live.get(operation.key)
                if version is not None:
                    results.append(version)
                    continue
            try:
                if isinstance(operation, Get):
                    results.append(reads.get(history, operation))
                else:
                    results.append(reads.read_range(history, operation, limits, limits.page_bytes))
            except CommandRefusedError as refused:
                results.append(refused.refusal)
        return results

    def sweep(self, limit: int) -> bool:
        """Give back memory of up to `limit` forgotten changes; True if more are waiting.

        Every `apply` does some of this. It changes nothing that can be seen.
        """
        return self._state.history.sweep(limit)

    def digest(self) -> int:
        """Return 64 bits over the whole state: equal on equal replicas."""
        return snapshot.digest(self._state)

    def capture(self) -> Iterator[bytes]:
        """Return the state as of now in slices of about 256 KiB; later applies don't show.

        Memory of compacted versions is not given back until the iterator is used up or
        dropped.
        """
        return snapshot.capture(self._state)

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replace the whole state by a captured one. Raises `SnapshotDamaged`: then nothing is."""
        self._state = snapshot.rebuild(chunks, self._limits.session_window)
        if self._observer is not None:
            self._observer.restored()

    def begin_anew(self, raise_by: int) -> None:
        """Become the first state of another cluster, which may have outlived this one.

        The revision rises by `raise_by` and the history is compacted there, so that tokens
        keep rising and nobody can resume from a revision that the old cluster gave since.
        Sessions are dropped: their clients belong to the old cluster. Keys and leases stay.
        Raises ValueError unless `raise_by` is positive.
        """
        if raise_by < 1:
            raise ValueError(f"the revision can't rise by {raise_by}")
        state = self._state
        state.history.revision += raise_by
        state.history.compact(state.history.revision)
        state.sessions.clear()
        if self._observer is not None:
            self._observer.restored()

    def _publish(self, changes: int) -> None:
        """Move to the next revision, which consists of the last `changes` changes."""
        history = self._state.history
        history.revision += 1
        if self._observer is not None:
            self._observer.publish(history.revision, history.last_changes(changes))

    def _check_quota(self) -> None:
        size = self._state.history.size_bytes
        if size >= self._limits.quota_bytes:
            raise quota_exceeded(size, self._limits.quota_bytes)

    def _put(self, command: Put) -> Outcome:
        key = command.key
        lease = command.lease
        state = self._state
        history = state.history
        limits = self._limits
        if not key or len(key) > limits.key_bytes or len(command.value) > limits.value_bytes:
            check_key_value(key, command.value, limits)
        if lease and lease not in state.leases:
            raise lease_not_found(lease)
        if history.size_bytes >= limits.quota_bytes:
            raise quota_exceeded(history.size_bytes, limits.quota_bytes)
        revision = history.revision + 1
        previous = history.put(key, command.value, lease, revision)
        if lease or (previous is not None and previous.lease):
            state.reattach(key, previous, lease)
        history.revision = revision
        if self._observer is not None:
            self._observer.publish(revision, history.last_changes(1))
        return revision

    def _delete(self, command: Delete) -> Outcome:
        if not command.key:
            raise empty_key()
        deleted = self._state.delete(command.key, self._state.history.revision + 1)
        if deleted:
            self._publish(deleted)
        return DeleteResult(deleted, self._state.history.revision)

    def _delete_range(self, command: DeleteRange) -> Outcome:
        deleted = self._state.delete_range(
            command.start, command.end, self._state.history.revision + 1
        )
        if deleted:
            self._publish(deleted)
        return DeleteResult(deleted, self._state.history.revision)

    def _commit(self, command: Commit) -> Outcome:
        check_commit(command, self._limits)
        history = self._state.history
        before = history.log_length()
        result = CommitRun(self._state, self._limits).execute(command)
        changes = history.log_length() - before
        if changes:
            self._publish(changes)
        return result

    def _enqueue(self, command: Enqueue) -> Outcome:
        state = self._state
        revision = state.history.revision + 1
        key = command.prefix + b"%016x" % revision
        check_key_value(key, command.value, self._limits)
        if command.lease and command.lease not in state.leases:
            raise lease_not_found(command.lease)
        if key in state.history.live:
            raise invalid(f"{key[:_SHOWN]!r} exists: somebody else wrote under the queue's prefix")
        self._check_quota()
        state.put(key, command.value, command.lease, revision)
        self._publish(1)
        return Enqueued(key, revision)

    def _grant_lease(self, command: GrantLease) -> Outcome:
        if not 0 < command.id < LEASE_ID_END:
            raise invalid(f"lease id {command.id} is not between 1 and 2**63 - 1")
        shortest = int(self._limits.lease_ttl_min * 1000)
        longest = int(self._limits.lease_ttl_max * 1000)
        if command.ttl_ms < shortest:
            raise invalid(f"a ttl of {command.ttl_ms} ms is below {shortest} ms")
        if command.ttl_ms > longest:
            raise limit_exceeded("milliseconds of a ttl", command.ttl_ms, longest)
        if command.id in self._state.leases:
            raise CommandRefusedError(
                Refusal(RefusalCode.LEASE_EXISTS, f"lease {command.id:x} is alive")
            )
        self._state.leases.grant(command.id, command.ttl_ms, self._index)
        return None

    def _revoke_lease(self, command: RevokeLease) -> Outcome:
        if command.id not in self._state.leases:
            raise lease_not_found(command.id)
        self._end_leases((command.id,))
        return None

    def _end_leases(self, leases: Sequence[int]) -> None:
        revision = self._state.history.revision + 1
        deleted = 0
        for lease in leases:
            deleted += self._state.end_lease(lease, revision)
        if deleted:
            self._publish(deleted)

    def _compact(self, command: Compact) -> Outcome:
        history = self._state.history
        check_revision(command.revision, history.revision, 0)
        if command.revision <= history.compact_revision:
            raise CommandRefusedError(compacted(command.revision, history.compact_revision))
        history.compact(command.revision)
        return None

    def _expire_leases(self, command: ExpireLeases) -> Outcome:
        table = self._state.leases
        for lease, generation in command.leases:
            table.touch(lease)
            known = table.get(lease)
            if known is not None and known.generation == generation:
                self._end_leases((lease,))
        return None

    def _checkpoint_leases(self, command: CheckpointLeases) -> Outcome:
        for lease, remaining_ms in command.leases:
            self._state.leases.checkpoint(lease, remaining_ms, self._index)
        return None

    def _expire_sessions(self, command: ExpireSessions) -> Outcome:
        for session, last_index in command.sessions:
            self._state.sessions.expire(session, last_index)
        return None

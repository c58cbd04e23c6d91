"""The bugs that such systems really had, one line each.

`pitfall` is the number in the project's list of correctness pitfalls, or what it is about.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """A line of the product and what stands there instead. `faults` suit it best."""

    name: str
    file: str
    old: str
    new: str
    faults: str = ""


RAFT = "protocol/raft/"
CRASHES = "power cut,power cut of all,kill -9,partition"
MUTANTS = (
    Mutant(
        "a vote is told before it is on disk",
        RAFT + "elections.py",
        "        core.send_after_sync(sender, reply)\n",
        "        core.send(sender, reply)\n",
        CRASHES,
    ),
    Mutant(
        "an append is acknowledged before the sync",
        RAFT + "replication.py",
        "    core.send_after_sync(sender, AppendReply(core.term, last, message.round))\n\n\n"
        "def _append_over_committed",
        "    core.send(sender, AppendReply(core.term, last, message.round))\n\n\n"
        "def _append_over_committed",
    ),
    Mutant(
        "two votes in one term",
        RAFT + "elections.py",
        "core.vote in (0, sender) and core.leader == 0",
        "core.leader == 0",
        CRASHES,
    ),
    Mutant(
        "a vote for a candidate whose log lacks entries",
        RAFT + "elections.py",
        "    complete = (message.last_term, message.last_index) >= "
        "(core.log.last_term, core.log.last_index)\n",
        "    complete = True\n",
        CRASHES,
    ),
    Mutant(
        "logs are compared by length alone",
        RAFT + "elections.py",
        "(message.last_term, message.last_index) >= (core.log.last_term, core.log.last_index)",
        "message.last_index >= core.log.last_index",
        "partition,isolated leader,power cut,pause",
    ),
    Mutant(
        "an old term's entry is committed by counting",
        RAFT + "commitment.py",
        "    if agreed <= core.commit or core.log.term(agreed) != core.term:\n",
        "    if agreed <= core.commit:\n",
        "partition,isolated leader,power cut,kill -9,message loss",
    ),
    Mutant(
        "a minority is a quorum",
        "protocol/quorum.py",
        "    return count // 2 + 1\n",
        "    return max(1, count // 2)\n",
    ),
    Mutant(
        "a joint quorum is a simple majority",
        RAFT + "configuration.py",
        "return (self.voters, self.outgoing) if self.outgoing else (self.voters,)",
        "return (self.voters,)",
        "member replaced,partition,isolated leader,partial partition",
    ),
    Mutant(
        "the configuration is not rolled back with a truncated tail",
        RAFT + "core.py",
        "        while self.configurations[-1][0] >= index:\n",
        "        while self.configurations[-1][0] > index + 1000:\n",
        "member replaced,partition,isolated leader,power cut",
    ),
    Mutant(
        "a change of members does not wait for the one before",
        RAFT + "machine.py",
        "    if not is_ready_leader(core) or core.configuration_index > core.commit:\n",
        "    if not is_ready_leader(core):\n",
        "member replaced,partition,message loss",
    ),
    Mutant(
        "the entry before an append is not compared",
        RAFT + "replication.py",
        "    if core.log.term(previous) != message.previous_term:\n",
        "    if core.log.term(previous) is None:\n",
        "partition,isolated leader,power cut,overtaking messages",
    ),
    Mutant(
        "a divergent tail is kept",
        RAFT + "replication.py",
        "        if core.log.term(entry.index) != entry.term:\n",
        "        if core.log.term(entry.index) is None:\n",
        "partition,isolated leader,power cut,pause",
    ),
    Mutant(
        "a late completion vouches for replaced entries",
        RAFT + "core.py",
        "            if self.log.term(index) == term:\n",
        "            if index <= self.log.last_index:\n",
        "slow disk,partition,isolated leader,pause",
    ),
    Mutant(
        "the leader counts its own log before it is on disk",
        RAFT + "commitment.py",
        "        return core.durable\n",
        "        return core.log.last_index\n",
        "power cut,power cut of all,slow disk,partition",
    ),
    Mutant(
        "a read is answered without a quorum round",
        RAFT + "reads.py",
        "    while core.reads and core.reads[0].round <= confirmed:\n",
        "    while core.reads:\n",
        "isolated leader,pause,partition",
    ),
    Mutant(
        "a read before the term's first commit",
        RAFT + "reads.py",
        "    if core.commit < core.term_start:\n",
        "    if core.commit < 0:\n",
        "kill -9,leadership transfer,isolated leader,message loss",
    ),
    Mutant(
        "a heartbeat tells a commit index beyond what the follower holds",
        RAFT + "reads.py",
        "core.send(node, Heartbeat(core.term, min(progress.match, core.commit), core.round))",
        "core.send(node, Heartbeat(core.term, core.commit, core.round))",
        "partition,isolated leader,message loss,power cut",
    ),
    Mutant(
        "a leader without a quorum never steps down",
        RAFT + "elections.py",
        "    if has_quorum(core.configuration.quorums, alive):\n",
        "    if alive:\n",
        "isolated leader,one-way cut,partition",
    ),
    Mutant(
        "an acknowledgement from an old round confirms a new one",
        RAFT + "reads.py",
        "        progress.round = round_\n",
        "        progress.round = core.round\n",
        "isolated leader,delays,one-way cut,pause",
    ),
    Mutant(
        "the log is not synced",
        "runtime/wal/log.py",
        "            segment.file.sync()\n        except OSError as error:\n"
        "            raise self._failed(error) from error\n        segment.end = start",
        "            segment.file.size()\n        except OSError as error:\n"
        "            raise self._failed(error) from error\n        segment.end = start",
        CRASHES,
    ),
    Mutant(
        "a torn batch is taken for whole",
        "runtime/wal/records.py",
        "    if len(body) != header.length or value(body) != header.body_crc:\n",
        "    if len(body) != header.length:\n",
        CRASHES,
    ),
    Mutant(
        "damage in the middle is taken for a tear",
        "runtime/wal/recovery.py",
        "    if offset is not None:\n",
        "    if offset is not None and offset < 0:\n",
        "bit rot,misdirected write,power cut",
    ),
    Mutant(
        "the hard state is forgotten",
        "runtime/wal/marks.py",
        "        if write.hard_state is not None:\n",
        "        if write.hard_state is not None and write.entries:\n",
        CRASHES,
    ),
    Mutant(
        "a failed sync is retried",
        "runtime/host/journal.py",
        "                self._on_fatal(error)\n                return False\n",
        "                continue\n",
        "failed fsync,power cut,kill -9",
    ),
    Mutant(
        "a snapshot without the session table",
        "kv/snapshot.py",
        "    for records in _sliced(iter(sessions), _session_bytes):\n",
        "    for records in _sliced(iter(sessions[:0]), _session_bytes):\n",
        "kill -9,power cut,connection resets,member replaced,isolated leader",
    ),
    Mutant(
        "a snapshot without leases",
        "kv/snapshot.py",
        "    for some in _sliced(iter(leases), _lease_bytes):\n",
        "    for some in _sliced(iter(leases[:0]), _lease_bytes):\n",
        "kill -9,power cut,member replaced",
    ),
    Mutant(
        "a snapshot forgets deletions",
        "kv/snapshot.py",
        "                state.history.delete(change.key, change.mod_revision)\n",
        "                state.history.revision = change.mod_revision\n",
        "kill -9,power cut,member replaced",
    ),
    Mutant(
        "a write that was done before is done again",
        "kv/sessions.py",
        "        if remembered is not None:\n            return remembered\n",
        "        if remembered is not None:\n            return known\n",
        "connection resets,kill -9,isolated leader,partition",
    ),
    Mutant(
        "outcomes are forgotten at once",
        "kv/machine.py",
        "        if session is not None:\n            session.outcomes",
        "        if session is not None and envelope.sequence % 2:\n            session.outcomes",
        "connection resets,kill -9,isolated leader,partition",
    ),
    Mutant(
        "a lease ends although it was renewed meanwhile",
        "kv/lessor.py",
        "        self._deadlines[lease] = max(self._deadlines[lease], promised)\n",
        "        self._deadlines[lease] = self._deadlines[lease]\n",
        "compaction",
    ),
    Mutant(
        "leases are not extended after a failover",
        "kv/lessor.py",
        "now_ns + extend_ns + lease.promised_ms * MILLISECOND\n",
        "now_ns + lease.promised_ms * MILLISECOND // 4\n",
        "kill -9,leadership transfer,isolated leader",
    ),
    Mutant(
        "leases never end",
        "node/leadership.py",
        "        commands = self._lessor.due(self._group.now)\n",
        "        commands = self._lessor.due(0)\n",
        "compaction",
    ),
    Mutant(
        "a keep-alive is answered without a quorum round",
        "node/service.py",
        "                lambda failure: self._proposal_failed(connection, request.id, 1, failure),\n"
        "            )\n\n        self._group.read(ready)\n",
        "                lambda failure: self._proposal_failed(connection, request.id, 1, failure),\n"
        "            )\n\n        ready(ReadAnswer.READY)\n",
        "isolated leader",
    ),
    Mutant(
        "a watch is opened again one revision too late",
        "engines/resumable.py",
        "from_revision=self.seen + 1)\n",
        "from_revision=self.seen + 2)\n",
        "connection resets,kill -9,isolated leader",
    ),
    Mutant(
        "a watch delivers twice after a reconnect",
        "engines/resumable.py",
        "        if batch.revision <= self.seen:\n"
        "            return\n        self.seen = batch.revision\n",
        "        self.seen = batch.revision - 1\n",
        "connection resets,kill -9,isolated leader",
    ),
    Mutant(
        "a mark of progress overtakes its events",
        "kv/watches.py",
        "                if watch.behind and not watch.queue:\n",
        "                if watch.behind:\n",
        "connection resets,kill -9",
    ),
    Mutant(
        "previous values are one revision off",
        "kv/watches.py",
        "change.mod_revision - 1)\n            events",
        "change.mod_revision)\n            events",
        "compaction",
    ),
    Mutant(
        "a lock is granted without looking at who is before",
        "recipes/lock.py",
        "    return Place(token, tuple(item.key for item in items[1:]), found.revision)\n",
        "    return Place(token, (), found.revision)\n",
        "compaction",
    ),
    Mutant(
        "a lock is granted although its lease has ended",
        "recipes/leases.py",
        "self._trusted_until = sent_at + int(ttl * (1.0 - MARGIN) * SECOND)",
        "self._trusted_until = sent_at + int(ttl * (3.0 - MARGIN) * SECOND)",
        "pause,isolated leader,partition,kill -9",
    ),
    Mutant(
        "a renewal counts from its answer",
        "recipes/leases.py",
        "            lease.renewed(sent_at, ttl)\n",
        "            lease.renewed(self._clock.monotonic(), 2 * ttl)\n",
        "pause,isolated leader,partition,kill -9",
    ),
    Mutant(
        "a cancelled waiter stays in the queue",
        "recipes/claim.py",
        "            await self._store.delete(key)\n        except",
        "            await self._store.get(key)\n        except",
        "compaction",
    ),
    Mutant(
        "a waiter's removal overtakes its creation",
        "recipes/claim.py",
        "            if self._queueing is not None:\n",
        "            if self._queueing is None:\n",
        "isolated leader,partition,pause",
    ),
    Mutant(
        "a release that failed is not tried again",
        "recipes/claim.py",
        "                if await self._deleted(key) or not lease.proven:\n",
        "                if await self._deleted(key) or lease.proven:\n",
        "isolated leader,partition,client cut off",
    ),
    Mutant(
        "a compaction drops what is alive",
        "kv/history.py",
        "        if live is not None and live.mod_revision <= self.compact_revision:\n"
        "            del self._past[key]\n",
        "        if live is not None and live.mod_revision <= self.compact_revision:\n"
        "            del self._past[key], self.live[key]\n",
        "compaction",
    ),
    Mutant(
        "a write of unknown outcome is tried in a new session",
        "engines/cluster/writes.py",
        "        if pending.sent <= 1:\n",
        "        if pending.sent:\n",
        "client cut off",
    ),
    Mutant(
        "a snapshot that was lost on its way is not offered again",
        RAFT + "installs.py",
        "    stalled = core.now - progress.nudged_at >= core.config.election_ns\n",
        "    stalled = progress.nudged_at < 0\n",
        "member replaced,message loss,connection resets,kill -9",
    ),
)

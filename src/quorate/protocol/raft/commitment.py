"""When an entry is committed, and what follows from it.

Only an entry of the leader's own term commits by counting; older ones commit with it
(Raft paper 5.4.2, figure 8). The leader counts itself only for what its own disk holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.protocol.quorum import agreed_index
from quorate.protocol.raft.configuration import (
    Configuration,
    encode_configuration,
    leave_joint,
)
from quorate.protocol.raft.core import Core
from quorate.protocol.raft.messages import Entry, EntryKind
from quorate.protocol.raft.output import Role
from quorate.protocol.raft.progress import Progress
from quorate.protocol.raft.reads import broadcast_round, release_early
from quorate.protocol.raft.sending import broadcast_append


def append_as_leader(core: Core, kind: EntryKind, payloads: Sequence[bytes]) -> None:
    """Append entries of the current term; they are replicated by the caller."""
    index = core.log.last_index
    core.append(
        [Entry(core.term, index + place, kind, data) for place, data in enumerate(payloads, 1)]
    )


def append_configuration(core: Core, configuration: Configuration) -> None:
    """Append a configuration; it is in force, and replicated to, from this moment."""
    append_as_leader(core, EntryKind.CONFIGURATION, [encode_configuration(configuration)])
    sync_progress(core)
    broadcast_append(core)


def sync_progress(core: Core) -> None:
    """Keep one progress per other member: new members are probed, departed ones forgotten."""
    others = core.others
    for node in others:
        if node not in core.progress:
            core.progress[node] = Progress(core.log.last_index + 1, core.now)
    for node in list(core.progress):
        if node not in others:
            del core.progress[node]


def maybe_commit(core: Core) -> bool:
    """Advance the commit index as far as the quorums allow; tell whether it moved."""
    agreed = agreed_index(core.configuration.quorums, lambda node: match_of(core, node))
    if agreed <= core.commit or core.log.term(agreed) != core.term:
        return False
    first_of_term = core.commit < core.term_start <= agreed
    core.commit = agreed
    if not core.tell_deadline:
        core.tell_deadline = core.now + core.config.commit_delay_ns
    if first_of_term:
        release_early(core)
    if core.configuration.joint and core.configuration_index <= core.commit:
        append_configuration(core, leave_joint(core.configuration))
    elif not core.configuration.votes(core.node) and core.configuration_index <= core.commit:
        # The leader managed its own removal up to here (thesis 4.2.2), and now leaves. The
        # others hear of the commit first, so that they need not find it out by an election.
        broadcast_round(core)
        core.become_follower(core.term, 0)
    return True


def match_of(core: Core, node: int) -> int:
    """The last index that a node is known to hold on disk."""
    if node == core.node:
        return core.durable
    progress = core.progress.get(node)
    return progress.match if progress else 0


def is_ready_leader(core: Core) -> bool:
    """Whether this node leads and has committed in its term."""
    return core.role is Role.LEADER and core.commit >= core.term_start

"""How the machine's parts say no: one exception that carries the refusal.

Law: it is raised only before anything was changed.
"""

from __future__ import annotations

from quorate.kv.commands import Refusal, RefusalCode


class CommandRefusedError(Exception):
    """A command can't be executed; `refusal` is its outcome."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(message: str) -> CommandRefusedError:
    """A request that makes no sense."""
    return CommandRefusedError(Refusal(RefusalCode.INVALID_REQUEST, message))


def limit_exceeded(what: str, size: int, limit: int) -> CommandRefusedError:
    """Something over its limit; `what` names it with its unit."""
    return CommandRefusedError(
        Refusal(RefusalCode.LIMIT_EXCEEDED, f"{what}: {size}, the limit is {limit}", limit)
    )


def empty_key() -> CommandRefusedError:
    """A key without a byte."""
    return invalid("the key is empty")


def lease_not_found(lease: int) -> CommandRefusedError:
    """A lease that ended, or never was."""
    return CommandRefusedError(
        Refusal(RefusalCode.LEASE_NOT_FOUND, f"lease {lease:x} ended or never was")
    )


def quota_exceeded(size: int, quota: int) -> CommandRefusedError:
    """A write that would grow a full store."""
    return CommandRefusedError(
        Refusal(
            RefusalCode.QUOTA_EXCEEDED,
            f"the store holds {size} bytes of {quota}: compact, delete, or raise the quota",
            quota,
        )
    )


def check_revision(revision: int, current: int, compact_revision: int) -> None:
    """Refuse to read at a revision that is not kept, or not yet there; 0 means now."""
    if revision <= 0:
        return
    if revision > current:
        raise CommandRefusedError(
            Refusal(
                RefusalCode.FUTURE_REVISION,
                f"revision {revision} does not exist yet; the store is at {current}",
                current,
            )
        )
    if revision < compact_revision:
        raise CommandRefusedError(compacted(revision, compact_revision))


def compacted(revision: int, compact_revision: int) -> Refusal:
    """The refusal of a revision that is no longer kept."""
    return Refusal(
        RefusalCode.COMPACTED,
        f"revision {revision} was compacted away; the store was compacted at {compact_revision}",
        compact_revision,
    )

"""Log entries and bodies as bytes, where they can't be read, and outcomes that are kept.

Law: what is unreadable is unreadable on every node alike. For that no answer here depends
on how deep the caller's stack is, or on what only a newer version would understand.
"""

from __future__ import annotations

from typing import Final

import msgspec

from quorate.errors import LogDamaged
from quorate.kv.commands import (
    BATCH_FORMAT,
    Batch,
    Outcome,
    OutcomeForgotten,
    Refusal,
    RefusalCode,
    decode_batch,
    encode_outcomes,
)
from quorate.store.types import CommitResult, Enqueued

COMMANDS_MAX: Final = 65_536
"""More than fit into the envelopes that clients make."""
LEADERS_ONLY: Final = Refusal(
    RefusalCode.INVALID_REQUEST, "only the leader ends and saves leases and sessions by itself"
)
MALFORMED: Final = Refusal(
    RefusalCode.INVALID_REQUEST, "the commands can't be read, or nest commits too deeply"
)
SESSION_EXPIRED: Final = Refusal(
    RefusalCode.SESSION_EXPIRED,
    "the session, or this write's place in its window, is gone: the write may have happened"
    " before; read to find out",
)


def refuse_all(body: bytes, refusal: Refusal) -> list[Outcome]:
    """Refuse every command of a body that is not decoded.

    Their number is read from the head of the array: a decoder's limit on nesting depends
    on the depth of the caller's stack, and so differs between nodes. What claims to hold more
    commands than any client sends is answered once, or the answers would fill the memory.
    """
    head = body[0] if body else 0
    count = 1
    if 0x90 <= head <= 0x9F:
        count = head & 0x0F
    elif head == 0xDC:
        count = int.from_bytes(body[1:3])
    elif head == 0xDD:
        count = int.from_bytes(body[1:5])
    if count > COMMANDS_MAX:
        count = 1
    return [refusal] * max(1, min(count, len(body) - 1))


def remembered(outcomes: list[Outcome], kept: int) -> bytes:
    """Encode outcomes for a retry; one of more than `kept` bytes as its revision alone."""
    encoded = encode_outcomes(outcomes)
    if len(encoded) <= kept:
        return encoded
    return encode_outcomes([_cut_down(outcome, kept) for outcome in outcomes])


def _cut_down(outcome: Outcome, kept: int) -> Outcome:
    """Replace an outcome whose encoding takes more than `kept` bytes by its revision."""
    if isinstance(outcome, CommitResult):
        revision = outcome.revision
    elif isinstance(outcome, Enqueued):
        revision = outcome.order
    else:
        return outcome
    return OutcomeForgotten(revision) if len(encode_outcomes([outcome])) > kept else outcome


def read_batch(index: int, data: bytes) -> Batch:
    """Decode a log entry; raises `LogDamaged`, which must stop the node."""
    try:
        batch = decode_batch(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LogDamaged(f"log entry {index} is no batch of commands: {error}") from error
    if batch.format != BATCH_FORMAT:
        raise LogDamaged(
            f"log entry {index} has format {batch.format}, this version reads {BATCH_FORMAT}:"
            " upgrade this node"
        )
    return batch

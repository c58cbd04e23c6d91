"""Changes of members as clients ask for them, judged before they enter the log.

Law: once in the log, a change is carried out by every node, now and at each restart. One
that makes no sense must therefore never get there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from quorate.errors import InvalidRequest
from quorate.protocol.raft.configuration import AddLearner, Change, UpdateAddress
from quorate.runtime.transport.address import split_address

IDENTIFIER_END: Final = 1 << 63
NAME_BYTES_MAX: Final = 255
ADDRESS_BYTES_MAX: Final = 255 + len("[]:65535")

_decode: Callable[[bytes], Change] = msgspec.msgpack.Decoder(Change).decode


def read_change(encoded: bytes) -> Change:
    """Return the change that a client asks for; raises InvalidRequest."""
    try:
        change = _decode(encoded)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"this is no change of members: {error}") from error
    if isinstance(change, AddLearner):
        member = change.member
        if not 0 < member.id < IDENTIFIER_END:
            raise InvalidRequest(f"the id {member.id} is not between 1 and 2**63 - 1")
        if not 0 < len(member.name.encode()) <= NAME_BYTES_MAX or not member.name.isprintable():
            raise InvalidRequest(
                f"a member's name has 1 to {NAME_BYTES_MAX} bytes, all of them printable"
            )
        _judge_address(member.address)
    elif isinstance(change, UpdateAddress):
        _judge_address(change.address)
    return change


def _judge_address(address: str) -> None:
    if len(address.encode()) > ADDRESS_BYTES_MAX:
        raise InvalidRequest(f"an address has at most {ADDRESS_BYTES_MAX} bytes")
    split_address(address)

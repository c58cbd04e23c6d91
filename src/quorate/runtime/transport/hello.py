"""The first words on a connection, and the rules by which they are judged.

The one who dials sends `MAGIC` and a framed `Hello`; the one who listens answers with a
framed `Welcome`, or with a `Refusal` and the end. Law: pure, and readable across versions.
The magic bytes, the place of `Hello.version` and the whole of `Refusal` never change, so
that any two versions can tell each other that they do not fit.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Annotated, TypeAlias

import msgspec

from quorate.errors import FrameInvalid

MAGIC = b"QUORATE1"
PROTOCOL_VERSION = 1
HELLO_LIMIT = 64 * 1024
"""The largest frame of a handshake, in bytes, whatever comes after it may be."""

Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Role(enum.IntEnum):
    """What a connection is for; each has its own queue, so bulk never delays consensus."""

    CLIENT = 0
    PEER = 1
    BULK = 2


class Hello(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Who dials, and what for. `cluster_id` 0 means unknown, which only a client may say."""

    version: int
    role: Role = Role.CLIENT
    cluster_id: Natural = 0
    node_id: Natural = 0
    features: Natural = 0
    address: str = ""
    credential: bytes = b""

    def __repr__(self) -> str:
        # The credential stays out of logs and tracebacks.
        return (
            f"Hello(version={self.version}, role={self.role.name}, cluster_id={self.cluster_id}, "
            f"node_id={self.node_id}, features={self.features}, address={self.address!r})"
        )


class Welcome(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """Who listens. The last three are hints; an empty address means that no leader is known."""

    version: int
    cluster_id: Natural
    node_id: Natural
    features: Natural
    commit_index: Natural
    leader_address: str
    members: tuple[str, ...] = ()
    """The addresses of all members, as far as this node knows."""


class RefusalCode(enum.IntEnum):
    """Why a handshake was refused."""

    VERSION = 1
    CLUSTER = 2
    MEMBERSHIP = 3
    CREDENTIAL = 4
    BUSY = 5
    """Too many connections: the only refusal that may pass by itself."""


class Refusal(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """The answer before the end. `code` is a number, since a later version may know more."""

    code: int
    message: str


Answer: TypeAlias = Welcome | Refusal


class _Version(msgspec.Struct, array_like=True):
    version: int


_encoder = msgspec.msgpack.Encoder()
_hello_decoder = msgspec.msgpack.Decoder(Hello)
_version_decoder = msgspec.msgpack.Decoder(_Version)
_answer_decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)

# What msgspec raises on hostile bytes: its own errors, UnicodeDecodeError, deep nesting.
_DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)


def encode_hello(hello: Hello) -> bytes:
    """Return the payload of the first frame."""
    return _encoder.encode(hello)


def decode_hello(payload: bytes) -> Hello:
    """Read the first frame; raises FrameInvalid.

    Of a hello in another version only `version` is read, so that it can be refused by name.
    """
    try:
        version = _version_decoder.decode(payload).version
        if version != PROTOCOL_VERSION:
            return Hello(version)
        return _hello_decoder.decode(payload)
    except _DECODE_ERRORS as error:
        raise FrameInvalid(f"the first frame is no hello: {error}") from error


def encode_answer(answer: Answer) -> bytes:
    """Return the payload of the answer's frame."""
    return _encoder.encode(answer)


def decode_answer(payload: bytes) -> Answer:
    """Read the answer's frame; raises FrameInvalid."""
    try:
        return _answer_decoder.decode(payload)
    except _DECODE_ERRORS as error:
        raise FrameInvalid(
            f"the answer to a hello is neither welcome nor refusal: {error}"
        ) from error


def judge_hello(
    hello: Hello, *, cluster_id: int, is_member: Callable[[int], bool]
) -> Refusal | None:
    """Return why the one who dials may not stay, or None when it may.

    `is_member` tells whether a node id is in the membership; it is asked about peers only.
    """
    if hello.version != PROTOCOL_VERSION:
        return Refusal(
            RefusalCode.VERSION,
            f"protocol version {hello.version} was offered, but this node speaks version "
            f"{PROTOCOL_VERSION}: install matching releases of quorate",
        )
    is_client = hello.role is Role.CLIENT
    if hello.cluster_id != cluster_id and not (is_client and hello.cluster_id == 0):
        return Refusal(
            RefusalCode.CLUSTER,
            f"cluster {hello.cluster_id:x} was asked for, but this node belongs to cluster "
            f"{cluster_id:x}: check the address",
        )
    if not is_client and not is_member(hello.node_id):
        return Refusal(
            RefusalCode.MEMBERSHIP,
            f"node {hello.node_id} is not a member of cluster {cluster_id:x}: add it to the "
            "membership first",
        )
    return None

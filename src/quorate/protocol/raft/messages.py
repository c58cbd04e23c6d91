"""What Raft nodes say to each other, and what they keep on disk.

Every message is a msgspec array with a number as its tag, so that the struct is the wire
format. Messages travel inside a frame that names the sender and the group; they do not
repeat either. Terms and indexes count from 1; 0 means "none".
"""

from __future__ import annotations

import enum

import msgspec


class EntryKind(enum.IntEnum):
    """What an entry's bytes are for."""

    NORMAL = 0
    """A batch for the group's machine."""
    EMPTY = 1
    """What a new leader appends so that it may commit (thesis 3.6.2)."""
    CONFIGURATION = 2
    """An encoded `Configuration`; in force from the moment it is appended."""


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One slot of the log."""

    term: int
    index: int
    kind: EntryKind
    data: bytes


class HardState(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What must be on disk before any message that depends on it leaves.

    `commit` is a hint that shortens a restart; it may lag.
    """

    term: int = 0
    vote: int = 0
    commit: int = 0

"""The write-ahead log that all groups of a node share.

Everything a group must not forget goes through `Wal.append`. Only the `Files` port is used:
no clock, no thread, no loop, so the same code runs on a simulated disk.
"""

from quorate.runtime.wal.log import DEFAULT_SEGMENT_BYTES, Wal
from quorate.runtime.wal.records import GroupWrite
from quorate.runtime.wal.recovery import RecoveredGroup

__all__ = ["DEFAULT_SEGMENT_BYTES", "GroupWrite", "RecoveredGroup", "Wal"]

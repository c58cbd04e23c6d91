"""The one table of limits. Each is checked at the edge, and exceeding it has an error."""

from __future__ import annotations

import msgspec

MEBIBYTE = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds, the rest are counts."""

    key_bytes: int = 4096
    value_bytes: int = 1 * MEBIBYTE
    operations_per_commit: int = 1024
    commit_depth: int = 8
    commit_bytes: int = 4 * MEBIBYTE
    page_items: int = 10_000
    page_bytes: int = 4 * MEBIBYTE
    frame_bytes: int = 16 * MEBIBYTE
    session_window: int = 4096
    outcome_bytes_kept: int = 1024
    session_ttl: float = 60.0
    lease_ttl_min: float = 1.0
    lease_ttl_max: float = 366 * 24 * 3600.0
    watches_per_connection: int = 10_000
    quota_bytes: int = 2048 * MEBIBYTE
    history_seconds: float = 300.0
    """History is kept this long, unless it takes more than a quarter of the quota."""

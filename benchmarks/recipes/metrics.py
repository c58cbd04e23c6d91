"""The lines of the two tables, and their floors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.coordination.report import Metric

RECIPES: Final = ("lock", "semaphore", "election", "queue")
WHAT: Final = {
    "lock": "lock",
    "semaphore": "semaphore of 4",
    "election": "election",
    "queue": "queue: put, take, finish",
}


def _metrics() -> Iterator[Metric]:
    for recipe in RECIPES:
        yield Metric(f"{recipe}_ms", f"{WHAT[recipe]} (ms)", higher=False, floor=1)
        yield Metric(f"{recipe}_pairs", "  a second", higher=True, floor=1)
        yield Metric(f"{recipe}_trips", "  round trips", higher=False)
        yield Metric(f"{recipe}_clients", "  a second, 16 clients", higher=True, floor=1)
        yield Metric(f"{recipe}_clients_trips", "  round trips, 16 clients", higher=False)
        yield Metric(f"{recipe}_workers", "  a second, 16 in one client", higher=True, floor=1)
        if recipe == "lock":
            yield Metric("lock_apart", "  a second, 16 names", higher=True, floor=1)


METRICS: Final = tuple(_metrics())

EMBEDDED: Final = (
    Metric("memory_pair_us", "memory: lock (µs)", higher=False),
    Metric("memory_call_us", "  each take or release", higher=False),
    Metric("memory_commits_us", "  its two commits alone", higher=False),
    Metric("memory_recipe_us", "  what the recipe adds", higher=False, limit=20),
    Metric("memory_blocking_us", "  through the blocking client", higher=False),
    Metric("file_ms", "file: lock (ms)", higher=False),
    Metric("file_syncs", "  fdatasyncs", higher=False, limit=2.05),
    Metric("file_sync_ms", "  one fdatasync alone (ms)", higher=False),
)

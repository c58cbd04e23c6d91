"""Medians, ratios to the best peer, and the floors that must hold."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

OURS: Final = "quorate"
Samples = dict[str, dict[str, list[float]]]
"""Peer → metric → one value per round."""


@dataclass(frozen=True)
class Metric:
    """A line of the table. `floor` is the least ratio to the best peer, `limit` the most."""

    name: str
    label: str
    higher: bool
    floor: float | None = None
    limit: float | None = None


METRICS: Final = (
    Metric("put_ms", "put, one at a time (ms)", higher=False, floor=1),
    Metric("puts_64", "puts/s, 64 in flight", higher=True, floor=5),
    Metric("puts_256", "puts/s, 256 in flight", higher=True, floor=10),
    Metric("puts_1024", "puts/s, 1024 in flight", higher=True),
    Metric("puts_64_connections", "puts/s, 64 connections", higher=True, floor=2),
    Metric("gets_64", "gets/s, 64 in flight", higher=True, floor=5),
    Metric("gets_256", "gets/s, 256 in flight", higher=True, floor=5),
    Metric("gets_1024", "gets/s, 1024 in flight", higher=True, floor=5),
    Metric("lock_pair_ms", "lock and release (ms)", higher=False, floor=1),
    Metric("lock_pairs_64", "lock pairs/s, 64 names", higher=True, floor=1),
    Metric("handovers", "handovers/s, 16 clients", higher=True, floor=1),
    Metric("jain", "handover fairness (Jain)", higher=True),
    Metric("watch_100_ms", "put to 100 watchers (ms)", higher=False),
    Metric("failover_s", "no writes after kill -9 (s)", higher=False, limit=0.4),
    Metric("cpu_100k", "CPU s per 100,000 puts", higher=False, limit=6.0),
    Metric("memory_mb", "memory per node (MB)", higher=False),
)


@dataclass(frozen=True)
class Row:
    """A metric's medians by peer, the ratio to the best peer, and whether its floor holds."""

    metric: Metric
    medians: dict[str, float]
    ratio: float | None
    missed: bool


def rows(samples: Samples, metrics: Sequence[Metric] = METRICS) -> list[Row]:
    """Judge every metric."""
    return [_row(metric, samples) for metric in metrics]


def _row(metric: Metric, samples: Samples) -> Row:
    medians = {
        peer: statistics.median(values[metric.name])
        for peer, values in samples.items()
        if values.get(metric.name)
    }
    ours = medians.get(OURS)
    others = [value for peer, value in medians.items() if peer != OURS]
    ratio = None
    if ours and others:
        ratio = ours / max(others) if metric.higher else min(others) / ours
    missed = metric.limit is not None and (ours is None or ours > metric.limit)
    if metric.floor is not None:
        missed = ours is None or (ratio is not None and ratio < metric.floor)
    return Row(metric, medians, ratio, missed)


def table(judged: list[Row], peers: list[str]) -> str:
    """The rows as text."""
    lines = [f"{'':30}" + "".join(f"{peer:>12}" for peer in peers) + f"{'ratio':>9}  floor"]
    for row in judged:
        cells = "".join(f"{_number(row.medians.get(peer)):>12}" for peer in peers)
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}x"
        lines.append(f"{row.metric.label:30}{cells}{ratio:>9}  {_floor(row)}".rstrip())
    return "\n".join(lines)


def _floor(row: Row) -> str:
    if row.metric.floor is not None:
        text = f">= {row.metric.floor:g}x"
    elif row.metric.limit is not None:
        text = f"<= {row.metric.limit:g}"
    else:
        return ""
    return f"{text} MISSED" if row.missed else text


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

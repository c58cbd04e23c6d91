"""What the benchmarks make of their numbers."""

from __future__ import annotations

import pytest
from benchmarks.coordination.protobuf import field, field_of, number_field
from benchmarks.coordination.report import Metric, rows, table
from benchmarks.recipes.metrics import EMBEDDED, METRICS

QUICKER = Metric("ms", "a lock (ms)", higher=False, floor=1)
MORE = Metric("rate", "locks/s", higher=True, floor=1)
AT_MOST = Metric("syncs", "syncs", higher=False, limit=2.05)


@pytest.mark.parametrize("metric", [QUICKER, MORE])
def test_a_floor_is_missed_by_whoever_is_behind_the_best_peer(metric: Metric) -> None:
    ours, best, worst = (2.0, 1.0, 9.0) if metric is QUICKER else (1.0, 2.0, 0.1)
    name = metric.name
    samples = {"quorate": {name: [ours]}, "etcd": {name: [best]}, "zookeeper": {name: [worst]}}
    (row,) = rows(samples, [metric])
    assert row.missed
    assert row.ratio == 0.5


def test_a_peer_that_lacks_a_recipe_is_left_out_of_its_line() -> None:
    samples = {"quorate": {"ms": [1.0]}, "etcd": {}, "zookeeper": {"ms": [2.0]}}
    (row,) = rows(samples, [QUICKER])
    assert (row.ratio, row.missed) == (2.0, False)
    assert "-" in table([row], list(samples)).splitlines()[1].split()


def test_a_floor_is_missed_when_our_own_number_is_not_there() -> None:
    (row,) = rows({"quorate": {}, "etcd": {"ms": [1.0]}}, [QUICKER])
    assert row.missed


@pytest.mark.parametrize(("syncs", "missed"), [([2.0, 9.0, 2.0], False), ([2.1], True)])
def test_a_limit_counts_for_the_median_whatever_the_peers_do(
    syncs: list[float], *, missed: bool
) -> None:
    (row,) = rows({"quorate": {"syncs": syncs}}, [AT_MOST])
    assert row.missed is missed


@pytest.mark.parametrize("metrics", [METRICS, EMBEDDED])
def test_every_line_of_the_recipes_has_a_number_of_its_own(metrics: tuple[Metric, ...]) -> None:
    assert len({metric.name for metric in metrics}) == len(metrics)


@pytest.mark.parametrize("value", [b"", b"x", b"x" * 127, b"x" * 128, b"x" * 70_000])
def test_a_field_is_found_behind_others(value: bytes) -> None:
    message = field(1, b"before") + field(2, value) + field(3, b"after")
    assert field_of(message, 2) == value


def test_a_number_has_seven_bits_in_each_byte() -> None:
    # The example of the protobuf specification.
    assert number_field(1, 150) == bytes([0x08, 0x96, 0x01])

"""When history goes: after its time, or when it takes too much room."""

from __future__ import annotations

from quorate.kv.compaction import CompactionPolicy
from quorate.store import Limits

SECOND = 1_000_000_000
LIMITS = Limits(history_seconds=100.0, quota_bytes=4000)


def test_history_is_kept_for_its_time() -> None:
    policy = CompactionPolicy(LIMITS)
    assert policy.next_deadline() is None
    policy.observe(0, 5, 0)
    policy.observe(1, 6, 0)
    policy.observe(50 * SECOND, 9, 0)
    policy.observe(60 * SECOND, 9, 0)
    assert policy.target(99 * SECOND, 0, 10) == 0
    assert policy.next_deadline() == 100 * SECOND
    assert policy.target(100 * SECOND, 0, 10) == 5
    assert policy.next_deadline() == 150 * SECOND
    assert policy.target(151 * SECOND, 9, 10) == 0
    assert policy.next_deadline() is None


def test_more_than_a_quarter_of_the_quota_goes_earlier() -> None:
    policy = CompactionPolicy(LIMITS)
    for step in range(1, 21):
        policy.observe(step, step, step * 60)
    assert policy.target(21, 0, 1000) == 0
    target = policy.target(21, 0, 1200)
    # About half of what may be kept stays: 500 of 1200 bytes.
    assert target == 11
    assert policy.target(21, target, 1200 - target * 60) == 0


def test_one_sample_is_enough_to_compact_to() -> None:
    policy = CompactionPolicy(LIMITS)
    policy.observe(1, 7, 5000)
    assert policy.target(2, 3, 5000) == 7
    policy.observe(3, 8, 5000)
    policy.forget()
    assert policy.target(500 * SECOND, 7, 0) == 0

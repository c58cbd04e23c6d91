"""Async and blocking are equal: the same names, the same arguments, the same defaults."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from quorate import recipes
from quorate.client import KV, AsyncClient, AsyncKV, Client, blocking, discovering

ASYNC_ONLY = {"store", "held", "follow"}
"""What layers of one's own stand on, and what a thread would look at too late."""
PAIRS = [
    (AsyncClient, Client),
    (AsyncKV, KV),
    (recipes.Lock, blocking.SyncClaim),
    (recipes.ReentrantLock, blocking.SyncClaim),
    (recipes.Semaphore, blocking.SyncSemaphore),
    (recipes.Election, blocking.SyncElection),
    (recipes.Counter, blocking.SyncCounter),
    (recipes.Sequence, blocking.SyncSequence),
    (recipes.Latch, blocking.SyncLatch),
    (recipes.Barrier, blocking.SyncBarrier),
    (recipes.DoubleBarrier, blocking.SyncDoubleBarrier),
    (recipes.Config, blocking.SyncConfig),
    (recipes.Queue, blocking.SyncQueue),
    (recipes.Group, blocking.SyncGroup),
    (recipes.Membership, blocking.SyncMembership),
    (recipes.Registry, discovering.SyncRegistry),
    (recipes.Registration, discovering.SyncRegistration),
    (recipes.InstanceView, discovering.SyncInstanceView),
    (recipes.RateLimiter, blocking.SyncRateLimiter),
]


def public(kind: type) -> dict[str, Any]:
    return {
        name: member
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") and callable(member)
    }


def arguments(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1].__name__)
def test_both_faces_have_the_same_methods(pair: tuple[type, type]) -> None:
    waiting, blocking = public(pair[0]), public(pair[1])
    assert set(waiting) - ASYNC_ONLY == set(blocking)
    for name, function in blocking.items():
        assert arguments(function) == arguments(waiting[name]), name


def test_both_clients_are_made_alike_but_for_the_ports_of_a_simulation() -> None:
    waiting = [each for each in arguments(AsyncClient.__init__) if each[0] != "ports"]
    assert waiting == arguments(Client.__init__)

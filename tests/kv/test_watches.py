"""Watches: exactly the events that were asked for, in order, once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.errors import Compacted, InvalidRequest
from quorate.kv import watches
from quorate.kv.commands import Command, Compact, Refusal, RefusalCode
from quorate.kv.machine import KeyValueMachine
from quorate.kv.watches import WatchHub
from quorate.store import (
    Commit,
    Delete,
    Event,
    EventKind,
    KeyValue,
    Put,
    WatchBatch,
    WatchDetail,
    WatchRequest,
    prefix_end,
)

from . import strategies
from .cases import LIMITS, copy, one, run
from .model import Model, inside

PLENTY = 1 << 30


def hub_of(machine: KeyValueMachine) -> WatchHub:
    return WatchHub(machine, replay_changes=watches.REPLAY_CHANGES)


def batches(hub: WatchHub, subscriber: int = 1) -> list[tuple[int, WatchBatch | Refusal]]:
    return hub.take(subscriber, PLENTY)


def revisions(hub: WatchHub, subscriber: int = 1) -> list[int]:
    found = []
    for _, batch in batches(hub, subscriber):
        assert isinstance(batch, WatchBatch)
        found.append(batch.revision)
    return found


def test_one_object_for_all_who_watch_the_same_key() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    for subscriber in range(1, 101):
        assert hub.open(subscriber, 5, WatchRequest(b"k")) == 2
    one(machine, Put(b"k", b"v"))
    assert hub.ready() == list(range(1, 101))
    taken = [batches(hub, subscriber) for subscriber in hub.ready()]
    assert {watch for ((watch, _),) in taken} == {5}
    assert len({id(batch) for ((_, batch),) in taken}) == 1
    assert hub.ready() == []


def test_previous_is_given_where_asked_for() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    hub.open(1, 1, WatchRequest(b"k"))
    hub.open(1, 2, WatchRequest(b"k", detail=WatchDetail.PREVIOUS))
    run(machine, Put(b"k", b"1"), Put(b"k", b"2"), Delete(b"k"))
    first, second = KeyValue(b"k", b"1", 2, 2, 1), KeyValue(b"k", b"2", 2, 3, 2)
    gone = KeyValue(b"k", b"", 0, 4, 0)
    plain = [
        Event(EventKind.PUT, first),
        Event(EventKind.PUT, second),
        Event(EventKind.DELETE, gone),
    ]
    full = [
        Event(EventKind.PUT, first),
        Event(EventKind.PUT, second, first),
        Event(EventKind.DELETE, gone, second),
    ]
    found: dict[int, list[Event]] = {1: [], 2: []}
    for watch, batch in batches(hub):
        assert isinstance(batch, WatchBatch)
        found[watch] += batch.events
    assert found == {1: plain, 2: full}


def test_a_revision_is_never_split() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    hub.open(1, 1, WatchRequest(b"", b""))
    hub.open(1, 2, WatchRequest(b"a", b"", from_revision=2))
    one(machine, Commit(then=tuple(Put(b"%03d" % n, bytes(100)) for n in range(100))))
    ((watch, batch),) = hub.take(1, 10)
    assert watch == 1
    assert isinstance(batch, WatchBatch)
    assert len(batch.events) == 100
    assert hub.ready() == []


def test_the_watches_of_a_subscriber_take_turns() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    for watch in (1, 2):
        hub.open(1, watch, WatchRequest(b"k"))
    run(machine, *(Put(b"k", b"") for _ in range(3)))
    assert [watch for _ in range(6) for watch, _ in hub.take(1, 1)] == [1, 2, 1, 2, 1, 2]


def test_a_watch_of_the_future_hears_nothing_earlier() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    assert hub.open(1, 1, WatchRequest(b"k", from_revision=4)) == 4
    run(machine, Put(b"k", b""))
    assert hub.ready() == []
    assert hub.progress(1) == []
    run(machine, Put(b"k", b""))
    assert hub.progress(1) == [(1, 3)]
    run(machine, Put(b"k", b""))
    assert hub.progress(1) == []
    assert revisions(hub) == [4]
    assert hub.progress(1) == [(1, 4)]


def test_a_compacted_start_says_so() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    run(machine, Put(b"k", b""), Put(b"k", b""), Put(b"k", b""), Compact(3))
    with pytest.raises(Compacted) as caught:
        hub.open(1, 1, WatchRequest(b"k", from_revision=3))
    assert caught.value.compact_revision == 3
    hub.open(1, 1, WatchRequest(b"k", from_revision=4))
    assert revisions(hub) == [4]


def test_what_makes_no_sense_is_refused() -> None:
    hub = hub_of(KeyValueMachine(LIMITS))
    with pytest.raises(InvalidRequest):
        hub.open(1, 1, WatchRequest(b""))
    hub.open(1, 1, WatchRequest(b"k"))
    with pytest.raises(InvalidRequest):
        hub.open(1, 1, WatchRequest(b"k"))
    hub.close(1, 2)
    hub.close_subscriber(2)
    assert hub.take(3, PLENTY) == []


def test_compaction_overtakes_a_watch_that_is_behind() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    run(machine, Put(b"k", b""), Put(b"k", b""))
    hub.open(1, 1, WatchRequest(b"k", from_revision=2))
    one(machine, Compact(3))
    ((watch, refusal),) = batches(hub)
    assert watch == 1
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.detail) == (RefusalCode.COMPACTED, 3)
    one(machine, Put(b"k", b""))
    assert hub.ready() == []
    hub.open(1, 1, WatchRequest(b"k", from_revision=4))
    assert revisions(hub) == [4]


def test_what_is_queued_survives_a_compaction() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    hub.open(1, 1, WatchRequest(b"k"))
    run(machine, Put(b"k", b""), Delete(b"k"), Compact(3))
    machine.sweep(100)
    assert revisions(hub) == [2, 3]


def test_a_slow_watch_falls_behind_and_catches_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "QUEUE_BATCHES", 4)
    monkeypatch.setattr(watches, "REPLAY_CHANGES", 5)
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    hub.open(1, 1, WatchRequest(b"k"))
    hub.open(1, 2, WatchRequest(b"k", prefix_end(b"k")))
    hub.open(1, 3, WatchRequest(b"nothing", b"nothing else"))
    run(machine, *(Put(b"k", b"") for _ in range(50)))
    found: dict[int, list[int]] = {1: [], 2: []}
    while hub.ready():
        taken = hub.take(1, 300)
        assert taken
        for watch, batch in taken:
            assert isinstance(batch, WatchBatch)
            if batch.events:
                found[watch].append(batch.revision)
    assert found == {1: list(range(2, 52)), 2: list(range(2, 52))}
    one(machine, Put(b"k", b""))
    assert [batch.revision for _, batch in batches(hub) if isinstance(batch, WatchBatch)] == [
        52
    ] * 2


def test_a_restored_state_continues_every_watch() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    leader = KeyValueMachine(LIMITS)
    hub.open(1, 1, WatchRequest(b"k"))
    hub.open(1, 2, WatchRequest(b"k"))
    for each in (machine, leader):
        run(each, Put(b"k", b"1"), Put(b"k", b"2"))
    hub.take(1, 1)
    run(leader, Put(b"k", b"3"), Put(b"other", b""))
    machine.restore(leader.capture())
    found: dict[int, list[int]] = {1: [], 2: []}
    for watch, batch in batches(hub):
        assert isinstance(batch, WatchBatch)
        found[watch].append(batch.revision)
    assert found == {1: [3, 4], 2: [2, 3, 4]}
    assert hub.progress(1) == [(1, 5), (2, 5)] or hub.progress(1) == [(2, 5), (1, 5)]
    run(leader, Put(b"k", b"4"), Compact(6))
    machine.restore(copy(leader).capture())
    codes = [batch.code for _, batch in batches(hub) if isinstance(batch, Refusal)]
    assert codes == [RefusalCode.COMPACTED] * 2


requests = st.builds(
    WatchRequest,
    strategies.keys,
    st.one_of(st.none(), strategies.bounds),
    st.integers(0, 14),
    st.sampled_from(WatchDetail),
)
actions = st.one_of(
    st.tuples(st.just("do"), strategies.commands),
    st.tuples(st.just("do"), strategies.puts),
    st.tuples(st.just("open"), st.integers(1, 2), st.integers(1, 4), requests),
    st.tuples(st.just("take"), st.integers(1, 2), st.sampled_from([1, 200, PLENTY])),
    st.tuples(st.just("close"), st.integers(1, 2), st.integers(1, 4)),
    st.tuples(st.just("progress"), st.integers(1, 2)),
    st.tuples(st.just("restore")),
)


class Listener:
    """What one watch was given, and what the model says it should have been."""

    def __init__(self, model: Model, request: WatchRequest, start: int) -> None:
        self.model = model
        self.request = request
        self.start = start
        self.reached = start - 1
        self.got: list[tuple[int, Event]] = []

    def take(self, batch: WatchBatch) -> None:
        assert batch.revision > self.reached or not batch.events
        self.reached = max(self.reached, batch.revision)
        self.got += [(batch.revision, event) for event in batch.events]
        self.check()

    def check(self) -> None:
        """Everything up to `reached` was given, and nothing after."""
        assert sorted(self.got, key=lambda each: (each[0], each[1].kv.key)) == self.expected()
        assert [revision for revision, _ in self.got] == sorted(r for r, _ in self.got)

    def expected(self) -> list[tuple[int, Event]]:
        events = []
        for revision, key, after, before in self.model.events:
            end = self.request.end
            wanted = key == self.request.key if end is None else inside(key, self.request.key, end)
            if not wanted or not self.start <= revision <= self.reached:
                continue
            kind = EventKind.PUT if after else EventKind.DELETE
            kv = after or KeyValue(key, b"", 0, revision, 0)
            previous = before if self.request.detail is WatchDetail.PREVIOUS else None
            events.append((revision, Event(kind, kv, previous)))
        return events


class Play:
    """A machine, its hub and the model, with the listeners that compare them."""

    def __init__(self) -> None:
        self.machine = KeyValueMachine(LIMITS)
        self.model = Model()
        self.hub = hub_of(self.machine)
        self.listeners: dict[tuple[int, int], Listener] = {}

    def do(self, command: Command) -> None:
        one(self.machine, command)
        self.model.apply(self.machine.applied_index, command)

    def open(self, subscriber: int, watch: int, request: WatchRequest) -> None:
        if (subscriber, watch) in self.listeners:
            return
        wanted = request.from_revision or self.model.revision + 1
        try:
            start = self.hub.open(subscriber, watch, request)
        except Compacted:
            assert wanted <= self.model.compact_revision
            return
        assert start == wanted > self.model.compact_revision
        self.listeners[subscriber, watch] = Listener(self.model, request, start)

    def take(self, subscriber: int, size: int) -> None:
        for watch, batch in self.hub.take(subscriber, size):
            listener = self.listeners[subscriber, watch]
            if isinstance(batch, Refusal):
                assert batch.code is RefusalCode.COMPACTED
                assert listener.reached < batch.detail == self.model.compact_revision
                del self.listeners[subscriber, watch]
            else:
                listener.take(batch)

    def close(self, subscriber: int, watch: int) -> None:
        self.hub.close(subscriber, watch)
        self.listeners.pop((subscriber, watch), None)

    def progress(self, subscriber: int) -> None:
        for watch, revision in self.hub.progress(subscriber):
            listener = self.listeners[subscriber, watch]
            assert revision >= listener.reached
            listener.reached = revision
            listener.check()

    def restore(self) -> None:
        self.machine.restore(copy(self.machine).capture())

    def finish(self) -> None:
        while self.hub.ready():
            for subscriber in self.hub.ready():
                self.take(subscriber, 300)
        for listener in self.listeners.values():
            listener.reached = max(listener.reached, self.model.revision)
            listener.check()


@given(st.lists(actions, max_size=60))
@settings(max_examples=400, deadline=None)
def test_watches_deliver_what_the_model_says(schedule: list[tuple[Any, ...]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watches, "QUEUE_BATCHES", 3)
        patch.setattr(watches, "REPLAY_CHANGES", 2)
        play = Play()
        for name, *arguments in schedule:
            getattr(play, name)(*arguments)
        play.finish()


def test_progress_never_overtakes_a_watch_that_is_behind() -> None:
    machine = KeyValueMachine(LIMITS)
    hub = hub_of(machine)
    run(machine, Put(b"k", b""), Put(b"k", b""))
    hub.open(1, 1, WatchRequest(b"k", from_revision=2))
    hub.open(1, 2, WatchRequest(b"k"))
    assert hub.progress(1) == [(2, 3)]
    assert revisions(hub) == [2, 3]
    assert hub.progress(1) == [(1, 3), (2, 3)]

"""Watches: every change that was asked for, once, in order, or a clear word that it is gone.

Laws: a watch delivers from a revision that is fixed when it opens. All of one revision is in
one batch. A watch whose subscriber is slow holds a bounded queue: over the bound it falls
behind, and is later fed from the history, in slices, until it has caught up. A progress
mark never overtakes an event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from quorate.errors import Compacted, InvalidRequest
from quorate.kv.commands import Refusal
from quorate.kv.intervals import RangeMap
from quorate.kv.machine import KeyValueMachine
from quorate.kv.refuse import compacted
from quorate.store.types import (
    Event,
    EventKind,
    KeyValue,
    WatchBatch,
    WatchDetail,
    WatchRequest,
)

QUEUE_BATCHES: Final = 1024
QUEUE_BYTES: Final = 4 * 1024 * 1024
"""A watch that has more than this waiting falls behind."""

REPLAY_CHANGES: Final = 4096
"""Changes that one `take` looks through for watches that are behind, and a little more."""

_LOOK_COST: Final = 16
"""What turning to one watch that is behind costs, in changes."""

_EVENT_BYTES: Final = 64


class _Sized:
    """A batch and about how many bytes it takes; one object for all that watch the same."""

    __slots__ = ("batch", "size")

    def __init__(self, batch: WatchBatch) -> None:
        self.batch = batch
        size = _EVENT_BYTES
        for event in batch.events:
            size += _EVENT_BYTES + len(event.kv.key) + len(event.kv.value)
            if event.previous is not None:
                size += _EVENT_BYTES + len(event.previous.value)
        self.size = size


class _Watch:
    """One open watch.

    It wants the revisions from `start`. Live, all since then that matched is delivered or in
    the queue; `behind` > 0 is the revision from which it must be fed from the history.
    """

    __slots__ = ("behind", "bytes", "id", "queue", "request", "start", "subscriber")

    def __init__(self, subscriber: int, watch: int, request: WatchRequest, start: int) -> None:
        self.subscriber = subscriber
        self.id = watch
        self.request = request
        self.start = start
        self.behind = 0
        self.queue: deque[_Sized] = deque()
        self.bytes = 0


class WatchHub:
    """All watches on one machine's state, by subscriber and number.

    It observes the machine. What `take` returns is final: it is not kept for another time.
    `replay_changes` bounds what one `take` looks through for watches that are behind.
    """

    def __init__(self, machine: KeyValueMachine, *, replay_changes: int = REPLAY_CHANGES) -> None:
        self._machine = machine
        self._replay_changes = replay_changes
        self._published = machine.revision
        self._subscribers: dict[int, dict[int, _Watch]] = {}
        self._ready: dict[int, dict[int, _Watch]] = {}
        self._keys: dict[bytes, dict[_Watch, None]] = {}
        self._ranges: RangeMap[_Watch] = RangeMap()
        self._range_count = 0
        machine.observe(self)

    def open(self, subscriber: int, watch: int, request: WatchRequest) -> int:
        """Open a watch and return the first revision that it may deliver.

        Raises `Compacted` when the history since `from_revision` is gone, and `InvalidRequest`
        when the subscriber has a watch of that number, or the request names no key.
        """
        watches = self._subscribers.get(subscriber, {})
        if watch in watches:
            raise InvalidRequest(f"watch {watch} is open already")
        if not request.key and request.end is None:
            raise InvalidRequest("the key to watch is empty")
        current = self._machine.revision
        start = request.from_revision if request.from_revision > 0 else current + 1
        if start <= self._machine.compact_revision:
            refusal = compacted(start, self._machine.compact_revision)
            raise Compacted(refusal.message, refusal.detail)
        opened = _Watch(subscriber, watch, request, start)
        self._subscribers.setdefault(subscriber, watches)[watch] = opened
        if request.end is None:
            self._keys.setdefault(request.key, {})[opened] = None
        else:
            self._ranges.add(request.key, request.end, opened)
            self._range_count += 1
        if start <= current:
            self._fall_behind(opened, start)
        return start

    def close(self, subscriber: int, watch: int) -> None:
        """Close a watch; what it had waiting is dropped. Fine when there is none."""
        closed = self._subscribers.get(subscriber, {}).get(watch)
        if closed is not None:
            self._end(closed)
            self._not_ready(closed)

    def close_subscriber(self, subscriber: int) -> None:
        """Close all watches of a subscriber."""
        for watch in self._subscribers.pop(subscriber, {}).values():
            self._unindex(watch)
            self._not_ready(watch)

    def publish(self, revision: int, changes: Sequence[KeyValue]) -> None:
        """Queue one revision's changes for the watches that asked for them."""
        self._published = revision
        if not self._keys and not self._range_count:
            return
        if len(changes) == 1:
            change = changes[0]
            matched = self._matched(change.key)
            if matched:
                batches: dict[WatchDetail, _Sized] = {}
                for watch in matched:
                    detail = watch.request.detail
                    sized = batches.get(detail)
                    if sized is None:
                        sized = batches[detail] = _Sized(self._batch(changes, detail))
                    self._offer(watch, revision, sized)
            return
        self._publish_many(revision, changes)

    def restored(self) -> None:
        """Continue every watch from the state that replaced the one before."""
        following = self._published + 1
        self._published = self._machine.revision
        for watches in self._subscribers.values():
            for watch in watches.values():
                if not watch.behind:
                    first = watch.queue[0].batch.revision if watch.queue else following
                    self._fall_behind(watch, max(first, watch.start))

    def count(self, subscriber: int) -> int:
        """Return how many watches a subscriber has open."""
        return len(self._subscribers.get(subscriber, ()))

    def ready(self) -> list[int]:
        """Return the subscribers for which `take` has work, in the order they became so."""
        return list(self._ready)

    def is_ready(self, subscriber: int) -> bool:
        """Tell whether `take` has work for a subscriber."""
        return subscriber in self._ready

    def take(self, subscriber: int, max_bytes: int) -> list[tuple[int, WatchBatch | Refusal]]:
        """Return what is ready for a subscriber: (watch, batch), about `max_bytes` of it.

        The watches take turns. A refusal (COMPACTED, with the compact revision as its detail)
        means that the watch ended there. A watch that is behind gets a progress mark for a
        slice of history that held nothing for it, so the list is empty only when nothing is
        ready.
        """
        waiting = self._ready.get(subscriber)
        taken: list[tuple[int, WatchBatch | Refusal]] = []
        if waiting is None:
            return taken
        looked_through = 0
        while waiting and max_bytes > 0 and looked_through < self._replay_changes:
            watch = waiting.pop(next(iter(waiting)))
            if watch.behind:
                looked = self._catch_up(watch)
                if isinstance(looked, int):
                    looked_through += _LOOK_COST + looked
                else:
                    taken.append((watch.id, looked))
                    self._end(watch)
                    continue
                if watch.behind and not watch.queue:
                    taken.append((watch.id, WatchBatch(watch.behind - 1)))
            max_bytes = _drain(watch, max_bytes, taken)
            if watch.queue or watch.behind:
                waiting[watch.id] = watch
        if not waiting:
            del self._ready[subscriber]
        return taken

    def progress(self, subscriber: int) -> list[tuple[int, int]]:
        """Return (watch, revision) for each watch that was given everything up to it.

        A watch with something waiting is left out, and so is one that starts in the future.
        """
        revision = self._published
        return [
            (watch.id, revision)
            for watch in self._subscribers.get(subscriber, {}).values()
            if not watch.queue and not watch.behind and watch.start <= revision + 1
        ]

    def _matched(self, key: bytes) -> list[_Watch]:
        exact = self._keys.get(key)
        matched = list(exact) if exact is not None else []
        if self._range_count:
            matched.extend(self._ranges.holding(key))
        return matched

    def _publish_many(self, revision: int, changes: Sequence[KeyValue]) -> None:
        matched: dict[_Watch, list[int]] = {}
        for place, change in enumerate(changes):
            for watch in self._matched(change.key):
                matched.setdefault(watch, []).append(place)
        batches: dict[tuple[WatchDetail, tuple[int, ...]], _Sized] = {}
        for watch, places in matched.items():
            detail = watch.request.detail
            chosen = (detail, tuple(places))
            sized = batches.get(chosen)
            if sized is None:
                wanted = [changes[place] for place in places]
                sized = batches[chosen] = _Sized(self._batch(wanted, detail))
            self._offer(watch, revision, sized)

    def _batch(self, changes: Sequence[KeyValue], detail: WatchDetail) -> WatchBatch:
        history = self._machine.history
        previous = None
        events: list[Event] = []
        for change in changes:
            kind = EventKind.PUT if change.version else EventKind.DELETE
            if detail is WatchDetail.PREVIOUS:
                previous = history.at(change.key, change.mod_revision - 1)
            events.append(Event(kind, change, previous))
        return WatchBatch(changes[0].mod_revision, tuple(events))

    def _offer(self, watch: _Watch, revision: int, sized: _Sized) -> None:
        if watch.behind or revision < watch.start:
            return
        watch.queue.append(sized)
        watch.bytes += sized.size
        if len(watch.queue) > QUEUE_BATCHES or watch.bytes > QUEUE_BYTES:
            self._fall_behind(watch, watch.queue[0].batch.revision)
        elif len(watch.queue) == 1:
            self._make_ready(watch)

    def _fall_behind(self, watch: _Watch, revision: int) -> None:
        """Drop what waits; from `revision` on the history will say it again."""
        watch.queue.clear()
        watch.bytes = 0
        if revision <= self._machine.revision:
            watch.behind = revision
            self._make_ready(watch)

    def _make_ready(self, watch: _Watch) -> None:
        self._ready.setdefault(watch.subscriber, {})[watch.id] = watch

    def _catch_up(self, watch: _Watch) -> int | Refusal:
        """Queue the next slice of the history for a watch that is behind and has no queue.

        Returns how many changes were looked through, or that they are gone.
        """
        machine = self._machine
        if watch.queue:
            return 0
        if watch.behind <= machine.compact_revision:
            return compacted(watch.behind, machine.compact_revision)
        request = watch.request
        limit = self._replay_changes
        if request.end is None:
            changes = machine.history.changes_of(request.key, watch.behind, limit)
        else:
            changes = machine.history.changes(watch.behind, limit)
        reached = machine.revision if len(changes) < limit else changes[-1].mod_revision
        for group in _by_revision(changes, request):
            sized = _Sized(self._batch(group, request.detail))
            watch.queue.append(sized)
            watch.bytes += sized.size
            if watch.bytes > QUEUE_BYTES:
                reached = sized.batch.revision
                break
        watch.behind = 0 if reached >= machine.revision else reached + 1
        return len(changes)

    def _end(self, watch: _Watch) -> None:
        watches = self._subscribers[watch.subscriber]
        del watches[watch.id]
        if not watches:
            del self._subscribers[watch.subscriber]
        self._unindex(watch)

    def _not_ready(self, watch: _Watch) -> None:
        waiting = self._ready.get(watch.subscriber)
        if waiting is None:
            return
        waiting.pop(watch.id, None)
        if not waiting:
            del self._ready[watch.subscriber]

    def _unindex(self, watch: _Watch) -> None:
        request = watch.request
        if request.end is not None:
            self._ranges.remove(request.key, request.end, watch)
            self._range_count -= 1
            return
        same_key = self._keys[request.key]
        del same_key[watch]
        if not same_key:
            del self._keys[request.key]


def _drain(watch: _Watch, room: int, taken: list[tuple[int, WatchBatch | Refusal]]) -> int:
    """Move batches from a watch's queue while there is room; return the room that is left."""
    queue = watch.queue
    while queue and room > 0:
        sized = queue.popleft()
        watch.bytes -= sized.size
        room -= sized.size
        taken.append((watch.id, sized.batch))
    return room


def _by_revision(changes: Sequence[KeyValue], request: WatchRequest) -> list[list[KeyValue]]:
    """Choose the changes that a request asks for, those of one revision together."""
    start, end = request.key, request.end
    groups: list[list[KeyValue]] = []
    revision = 0
    for change in changes:
        key = change.key
        if end is not None and (key < start or (end and key >= end)):
            continue
        if change.mod_revision != revision:
            revision = change.mod_revision
            groups.append([])
        groups[-1].append(change)
    return groups

"""Watches: ZooKeeper says where something happened, and what happened there is read.

A watch of a directory hears of everything under it. What it hears of is read in rounds, and
handed out in the order of the transactions: a change of which it is not known yet what it was
may have come before one that was read already, so that one waits. Of several changes of one key
the last is given. After a reconnect everything is read and compared with what was known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import groupby
from typing import Final, NamedTuple

from quorate.codecs.zookeeper import records
from quorate.codecs.zookeeper.records import Code, Notification, Operation, Stat
from quorate.engines.resumable import ResumableWatch
from quorate.engines.zookeeper.connection import Request
from quorate.engines.zookeeper.errors import refusal
from quorate.engines.zookeeper.paths import Paths, parent_of
from quorate.engines.zookeeper.session import Session
from quorate.engines.zookeeper.tree import (
    DIRECTORY,
    Looked,
    Node,
    Picture,
    Tree,
    directory_of,
    key_value,
)
from quorate.errors import Compacted, QuorateError, Unavailable
from quorate.runtime.scope import TaskScope
from quorate.store.types import Event, EventKind, KeyValue, WatchBatch, WatchRequest

RETRY_SECONDS: Final = 0.1


class _Change(NamedTuple):
    path: str
    event: Event
    stat: Stat | None

    def note(self, known: dict[bytes, Stat]) -> None:
        """Follow the change in what is known."""
        if self.stat is None:
            known.pop(self.event.kv.key, None)
        else:
            known[self.event.kv.key] = self.stat


class Following:
    """One watch: what it knows, and where it has heard of something that it has not read."""

    def __init__(self, watch: ResumableWatch, directory: str, end: bytes) -> None:
        self.watch = watch
        self.directory = directory
        self.start = watch.request.key
        self.end = end
        self.known: dict[bytes, Stat] | None = None
        """What was handed out; None before the watch has begun."""
        self.heard: dict[str, int] = {}
        """Paths to read; what happened there happened after this transaction."""
        self.anew = True
        """Everything must be read, as nobody listened for a while."""
        self.wake: asyncio.Event = asyncio.Event()

    def holds(self, key: bytes) -> bool:
        """Whether a key is in the range."""
        return key >= self.start and (not self.end or key < self.end)

    def hear(self, path: str, after: int) -> None:
        """Take note of a path where something happened after a transaction."""
        self.heard.setdefault(path, after)
        self.wake.set()

    def restart(self) -> None:
        """Whatever happened since may have gone unheard."""
        self.anew = True
        self.wake.set()


class Watches:
    """All watches of one client, over its session."""

    def __init__(
        self, session: Session, tree: Tree, paths: Paths, scope: TaskScope, timeout: float
    ) -> None:
        self._session = session
        self._tree = tree
        self._paths = paths
        self._scope = scope
        self._timeout = timeout
        self._open: dict[ResumableWatch, tuple[Following, asyncio.Task[None]]] = {}
        self._suspended: dict[ResumableWatch, Following] = {}
        self._registering = asyncio.Lock()
        """The servers know one watch for each directory: none is removed while one is added."""

    def watch(self, request: WatchRequest) -> ResumableWatch:
        """Open a watch."""
        watch = ResumableWatch(self, request)
        self.open(watch)
        return watch

    def open(self, watch: ResumableWatch) -> None:
        """Follow a range, from what is known of it if it was followed before."""
        following = self._suspended.pop(watch, None)
        if following is None:
            request = watch.request
            end = request.key + b"\x00" if request.end is None else request.end
            directory = (
                self._paths.of(request.key)
                if request.end is None
                else directory_of(self._paths, request.key, end)
            )
            following = Following(watch, directory, end)
        following.anew = True
        task = self._scope.spawn(self._follow(following), name="zookeeper-watch")
        self._open[watch] = following, task

    def suspend(self, watch: ResumableWatch) -> None:
        """Stop the events of a watch whose reader is far behind."""
        found = self._open.pop(watch, None)
        if found is not None:
            following, task = found
            self._suspended[watch] = following
            self._leave(following, task)

    def remove(self, watch: ResumableWatch) -> None:
        """Forget a watch."""
        self._suspended.pop(watch, None)
        found = self._open.pop(watch, None)
        if found is not None:
            self._leave(*found)

    def close(self) -> list[ResumableWatch]:
        """Return every open watch, for closing."""
        return [*self._open, *self._suspended]

    def hear(self, notification: Notification, zxid: int) -> None:
        """Take what the server has seen, after a transaction."""
        key = self._paths.key(notification.path)
        if key is None:
            return
        for following, _ in self._open.values():
            if following.holds(key):
                following.hear(notification.path, zxid)

    def reconnected(self) -> None:
        """The servers have forgotten the watches that this client had."""
        for following, _ in self._open.values():
            following.restart()

    def _leave(self, following: Following, task: asyncio.Task[None]) -> None:
        task.cancel()
        if not self._session.ended:
            self._scope.spawn(self._forget(following.directory), name="zookeeper-unwatch")

    async def _forget(self, directory: str) -> None:
        """Listen no longer at a directory, unless somebody else does by now."""
        request = Request(Operation.REMOVE_WATCHES, records.remove_watches(directory))
        async with self._registering:
            if directory in [each.directory for each, _ in self._open.values()]:
                return
            try:
                await self._session.ask([request], self._timeout)
            except Unavailable:
                # Watches end with their connection.
                return

    async def _follow(self, following: Following) -> None:
        """Hand out what happens, until the watch is closed."""
        watch = following.watch
        try:
            while True:
                try:
                    if following.anew:
                        await self._begin(following)
                    await self._round(following)
                except Unavailable:
                    following.anew = True
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                if not following.heard and not following.anew:
                    following.wake.clear()
                    await following.wake.wait()
        except QuorateError as error:
            self._open.pop(watch, None)
            watch.fail(error)

    async def _begin(self, following: Following) -> None:
        """Listen, and read everything."""
        following.anew = False
        following.heard.clear()
        watching = Request(Operation.ADD_WATCH, records.add_watch(following.directory))
        async with self._registering:
            (reply,) = await self._session.ask([watching], self._timeout)
        if reply.code != Code.OK:
            raise refusal(reply.code)
        picture = await self._tree.picture(following.start, following.end, Operation.EXISTS)
        # What was heard up to here is in the picture.
        for path in [path for path, after in following.heard.items() if after < picture.revision]:
            following.heard[path] = picture.revision
        if following.known is None:
            _check_begin(following.watch.request.from_revision, picture)
            following.known = {node.key: node.stat for node in picture.nodes}
            following.watch.register(picture.revision + 1)
            return
        seen = {node.key: node.stat for node in picture.nodes}
        for key in {**following.known, **seen}:
            if following.known.get(key) != seen.get(key):
                following.heard.setdefault(self._paths.of(key), following.watch.seen)

    async def _round(self, following: Following) -> None:
        """Read where something happened, and hand out what is known to be next."""
        if not following.heard:
            return
        assert following.known is not None
        paths = list(following.heard)
        following.heard.clear()
        asked = [*paths, *map(parent_of, paths)]
        looked, revision = await self._tree.look(asked, Operation.EXISTS)
        directories = dict(zip(asked[len(paths) :], looked[len(paths) :], strict=True))
        changes: list[_Change] = []
        for path, found in zip(paths, looked, strict=False):
            directory = directories[parent_of(path)]
            changed_at = directory.stat.children_modified if directory else revision
            changes += self._changes(following.known, path, found, changed_at)
        # The order of hearing is that of the transactions, so a stable sort keeps it.
        changes.sort(key=lambda change: change.event.kv.mod_revision)
        # Something that is heard of only now came after what its entry says.
        self._hand_out(following, changes, min(following.heard.values(), default=None))

    def _changes(
        self, known: Mapping[bytes, Stat], path: str, found: Looked, gone_at: int
    ) -> list[_Change]:
        """Return what is different at a path from what is known."""
        key = self._paths.key(path)
        assert key is not None
        before = known.get(key)
        now = None if found is None or found.data == DIRECTORY else found
        changes: list[_Change] = []
        if before is not None and (now is None or now.stat.created != before.created):
            at = now.stat.created if now is not None else gone_at
            event = Event(EventKind.DELETE, KeyValue(key, b"", 0, at, 0))
            changes.append(_Change(path, event, None))
        if now is not None and (before is None or now.stat.modified > before.modified):
            event = Event(EventKind.PUT, key_value(Node(key, *now)))
            changes.append(_Change(path, event, now.stat))
        return changes

    def _hand_out(self, following: Following, changes: list[_Change], limit: int | None) -> None:
        """Hand out the changes up to a limit, those of one revision together."""
        assert following.known is not None
        wanted = following.watch.request.from_revision
        for revision, together in groupby(changes, key=lambda change: change.event.kv.mod_revision):
            batch = list(together)
            if limit is not None and revision > limit:
                for change in batch:
                    following.hear(change.path, limit)
                continue
            for change in batch:
                change.note(following.known)
            if revision >= wanted:
                at = max(revision, following.watch.seen + 1)
                following.watch.deliver(WatchBatch(at, tuple(each.event for each in batch)))


def _check_begin(wanted: int, picture: Picture) -> None:
    """Raise Compacted unless nothing has happened since the revision that was asked for."""
    if wanted and picture.newest >= wanted:
        raise Compacted(
            "zookeeper keeps no history, and something has changed since revision "
            f"{wanted - 1}: read the state anew and watch from there",
            picture.revision,
        )

"""Whether watches delivered every change that was asked for, once, in order, and only those.

Law: a watch is judged up to the last revision that it gave or said it had reached, however it
ended. The events of one revision have no order among themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from quorate.simulation.checkers.sentences import first_few, text
from quorate.simulation.checkers.truth import Truth
from quorate.simulation.evidence import Change, SeenEvent, WatchLog


def check_watches(watches: Sequence[WatchLog], changes: Sequence[Change]) -> list[str]:
    """Compare what each watch delivered with the changes that were made.

    A watch that began at an unknown revision is judged from its first event on. One that
    ended because its history was compacted delivered everything up to where it ended.
    """
    truth = Truth(changes)
    return first_few(chain.from_iterable(_check(watch, changes, truth) for watch in watches))


def _check(watch: WatchLog, changes: Sequence[Change], truth: Truth) -> Iterator[str]:
    yield from _check_order(watch)
    for event in watch.events:
        yield from _check_event(watch, event, truth)
    yield from _check_complete(watch, changes)
    last = max(truth.last_revision, watch.start - 1)
    if watch.reached > last:
        yield f"{watch.name} says that it reached revision {watch.reached}; the last is {last}"


def _check_order(watch: WatchLog) -> Iterator[str]:
    given: set[tuple[int, bytes]] = set()
    newest = 0
    for event in watch.events:
        if (event.revision, event.key) in given:
            yield f"{watch.name} gave {_named(event)} twice"
        elif event.revision < newest:
            yield f"{watch.name} gave {_named(event)} after revision {newest}"
        given.add((event.revision, event.key))
        newest = max(newest, event.revision)


def _check_event(watch: WatchLog, event: SeenEvent, truth: Truth) -> Iterator[str]:
    change = truth.written(event.key, event.revision)
    if change is None:
        yield f"{watch.name} gave {_named(event)}, which never was"
        return
    if event.deleted == bool(change.kv.version) or event.value != change.kv.value:
        yield f"{watch.name} gave {_named(event)} as {_said(event)}; it was {_was(change)}"
    if not event.key.startswith(watch.prefix):
        yield f"{watch.name} gave {_named(event)}, but watches {text(watch.prefix)}"
    if event.revision < watch.start:
        yield f"{watch.name} gave {_named(event)}, but began at revision {watch.start}"
    if watch.previous:
        before = truth.before(event.key, event.revision)
        expected = before.kv if before is not None and before.kv.version else None
        if event.previous != expected:
            yield (
                f"{watch.name} gave {_named(event)} with {event.previous} before it; "
                f"it was {expected}"
            )


def _check_complete(watch: WatchLog, changes: Sequence[Change]) -> Iterator[str]:
    given = {(event.revision, event.key) for event in watch.events}
    if not watch.start and not given:
        return
    revisions = {revision for revision, _ in given}
    start = watch.start or min(revisions)
    end = max(watch.reached, max(revisions, default=0))
    for change in changes:
        if not start <= change.revision <= end or not change.kv.key.startswith(watch.prefix):
            continue
        if (change.revision, change.kv.key) in given:
            continue
        what = f"{text(change.kv.key)} of revision {change.revision}"
        if change.revision in revisions:
            yield f"{watch.name} gave a part of revision {change.revision}, without {what}"
        elif watch.compacted:
            yield f"{watch.name} left out {what} before it ended at {end} as compacted"
        else:
            yield f"{watch.name} left out {what} and went on to {end}"


def _named(event: SeenEvent) -> str:
    return f"{text(event.key)} of revision {event.revision}"


def _said(event: SeenEvent) -> str:
    return "deleted" if event.deleted else f"{text(event.value)} written"


def _was(change: Change) -> str:
    return f"{text(change.kv.value)} written" if change.kv.version else "deleted"

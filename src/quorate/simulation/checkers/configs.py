"""Whether a configuration lost no change, and those who followed it saw it in order.

Law: every update adds one mark behind those that were there. So each version is the one before
and one mark more, and whatever anybody sees is one of these versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import Final

import msgspec

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.checkers.truth import Truth
from quorate.simulation.evidence import CallLog, Change, Outcome, VersionsLog

CONFIG: Final = "settings"
KEY: Final = f"{CONFIG}/config".encode()
DRAFT: Final = "draft"
"""Another one, which is overwritten and rolled back."""
DRAFT_KEY: Final = f"{DRAFT}/config".encode()
UPDATE: Final = "update"
GET: Final = "get"
AT: Final = "at"
ROLL_BACK: Final = "roll back"


class Settings(msgspec.Struct, frozen=True):
    """What is configured."""

    marks: tuple[str, ...] = ()


def check_configs(
    calls: Sequence[CallLog], versions: Sequence[VersionsLog], changes: Sequence[Change]
) -> list[str]:
    """Compare what writers, readers and followers were told with each version that there was."""
    truth = Truth(changes)
    history, drafts = _history(truth, KEY), _history(truth, DRAFT_KEY)
    backs = [call for call in calls if call.verb == ROLL_BACK and call.outcome is Outcome.OK]
    ours = [call for call in calls if call.recipe == CONFIG]
    updates = [call for call in ours if call.verb == UPDATE]
    reads = [call for call in ours if call.verb != UPDATE and call.outcome is Outcome.OK]
    return first_few(
        chain(
            _steps(history),
            chain.from_iterable(_written(each, history) for each in updates),
            chain.from_iterable(_read(each, updates, history) for each in reads),
            chain.from_iterable(_followed(each, history) for each in versions),
            chain.from_iterable(_rolled_back(each, drafts) for each in backs),
        )
    )


def _history(truth: Truth, key: bytes) -> dict[int, tuple[str, ...]]:
    """The marks of every version of a configuration, by its revision."""
    history: dict[int, tuple[str, ...]] = {0: ()}
    for change in truth.of(key):
        history[change.revision] = msgspec.json.decode(change.kv.value, type=Settings).marks
    return history


def _steps(history: dict[int, tuple[str, ...]]) -> Iterator[str]:
    for (before, had), (after, has) in pairwise(history.items()):
        if has[:-1] != had:
            yield f"the settings of revision {after} lost what was in those of revision {before}"


def _written(update: CallLog, history: dict[int, tuple[str, ...]]) -> Iterator[str]:
    (mark,) = update.told
    name = f"{update.client}'s change {mark}"
    if update.outcome is Outcome.OK and history.get(update.number, ())[-1:] != (mark,):
        yield f"{name} was acknowledged at revision {update.number}, and is not there"
    times = next(reversed(history.values())).count(mark)
    if times > (update.outcome is not Outcome.FAILED):
        yield f"{name} is there {times} times, and was said to be {update.outcome.value}"


def _read(
    read: CallLog, updates: Sequence[CallLog], history: dict[int, tuple[str, ...]]
) -> Iterator[str]:
    name = f"{read.client}'s {read.verb} at {seconds(read.returned)}"
    if history.get(read.number) != read.told:
        yield f"{name} gave settings that were never there, of revision {read.number}"
    least = max(
        (
            each.number
            for each in updates
            if each.outcome is Outcome.OK and each.returned < read.called
        ),
        default=0,
    )
    if read.verb == GET and read.number < least:
        yield f"{name} gave revision {read.number}, after {least} was acknowledged"


def _followed(log: VersionsLog, history: dict[int, tuple[str, ...]]) -> Iterator[str]:
    for (before, _), (after, _) in pairwise(log.versions):
        if after <= before:
            yield f"{log.client} was given revision {after} of the settings after {before}"
    for revision, marks in log.versions:
        if history.get(revision) != marks:
            yield f"{log.client} was given settings that were never there, of {revision}"


def _rolled_back(call: CallLog, drafts: dict[int, tuple[str, ...]]) -> Iterator[str]:
    wanted, *marks = call.told
    if not drafts.get(int(wanted)) == drafts.get(call.number) == tuple(marks):
        yield (
            f"{call.client} rolled the draft back to revision {wanted}, and revision "
            f"{call.number} is something else"
        )

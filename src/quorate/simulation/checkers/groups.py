"""Whether groups and services were told of as they were.

Law: a membership that was proven at a moment was there from its joining to that moment, so
whoever read in between has it. One whose leaving was acknowledged is not there again. Who
follows the changes is told of each member that it joined, what it changed, and that it left.
An instance that says it is registered is there at that moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.checkers.truth import Truth
from quorate.simulation.evidence import (
    CallLog,
    Change,
    MemberLog,
    Outcome,
    RegistrationLog,
    SightingsLog,
)

GROUP: Final = "group"
REGISTRY: Final = "service"
MEMBERS: Final = "members"


def check_groups(calls: Sequence[CallLog], members: Sequence[MemberLog]) -> list[str]:
    """Compare who was listed with who was there."""
    reads = [call for call in calls if call.verb == MEMBERS and call.outcome is Outcome.OK]
    return first_few(
        chain(
            chain.from_iterable(_in_order(read) for read in reads),
            chain.from_iterable(
                _listed(read, member)
                for read in reads
                if read.recipe == GROUP
                for member in members
            ),
        )
    )


def check_sightings(logs: Sequence[SightingsLog]) -> list[str]:
    """Check what everybody was told who followed the changes."""
    return first_few(chain.from_iterable(_told(log) for log in logs))


def check_registrations(
    registrations: Sequence[RegistrationLog], changes: Sequence[Change]
) -> list[str]:
    """Check that whoever said that others see it was there."""
    truth = Truth(changes)
    return first_few(chain.from_iterable(_there(each, truth) for each in registrations))


def _in_order(read: CallLog) -> Iterator[str]:
    if list(read.told) != sorted(dict.fromkeys(read.told)):
        yield (
            f"{read.client} was told at {seconds(read.returned)} of {', '.join(read.told)} in the "
            f"{read.recipe}: each is told of once, in order"
        )


def _listed(read: CallLog, member: MemberLog) -> Iterator[str]:
    span = f"{seconds(read.called)} to {seconds(read.returned)}"
    there = member.joined < read.called and read.returned < member.proven
    if there and member.id not in read.told:
        yield (
            f"{read.client} read from {span} and was not told of {member.id} ({member.client}), "
            f"which had joined at {seconds(member.joined)} and was proven at "
            f"{seconds(member.proven)}"
        )
    if 0 <= member.left < read.called and member.id in read.told:
        yield (
            f"{read.client} read from {span} and was told of {member.id} ({member.client}), "
            f"which had left at {seconds(member.left)}"
        )


def _there(log: RegistrationLog, truth: Truth) -> Iterator[str]:
    versions = truth.of(f"{REGISTRY}/members/{log.id}".encode())
    for moment in log.moments:
        before = [each for each in versions if each.at <= moment]
        if not before or not before[-1].kv.version:
            yield (
                f"{log.client} said at {seconds(moment)} that its instance {log.id} is registered, "
                "and it was not there"
            )


def _told(log: SightingsLog) -> Iterator[str]:
    there: dict[str, None] = {}
    for kind, member in log.changes:
        if (kind == "joined") == (member in there):
            state = "there already" if member in there else "not there"
            yield f"{log.client} was told that {member} {kind} the {log.recipe}, and it was {state}"
        if kind == "left":
            there.pop(member, None)
        else:
            there[member] = None

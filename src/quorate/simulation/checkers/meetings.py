"""Whether parties entered a double barrier together and left it together.

Law: nobody has entered before so many parties had begun to. Nobody has left while another is
inside that had entered before the one began to leave: it is inside for as long as its lease is
proven and it has not begun to leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from quorate.simulation.checkers.sentences import first_few, seconds
from quorate.simulation.evidence import PartyLog

PARTIES: Final = 3


def check_meetings(parties: Sequence[PartyLog], count: int = PARTIES) -> list[str]:
    """Check every meeting; each is of `count` parties."""
    meetings: dict[str, list[PartyLog]] = {}
    for party in parties:
        meetings.setdefault(party.meeting, []).append(party)
    return first_few(
        chain.from_iterable(
            chain(_entered(party, each, count), _left(party, each))
            for each in meetings.values()
            for party in each
        )
    )


def _entered(party: PartyLog, parties: Sequence[PartyLog], count: int) -> Iterator[str]:
    begun = sum(each.began <= party.entered for each in parties)
    if party.entered >= 0 and begun < count:
        yield (
            f"{party.meeting}: {party.client} had entered by {seconds(party.entered)}, when only "
            f"{begun} of {count} had begun to"
        )


def _left(party: PartyLog, parties: Sequence[PartyLog]) -> Iterator[str]:
    if party.left < 0:
        return
    for other in parties:
        inside = 0 <= other.entered < party.leaving and other.proven > party.left
        if inside and not 0 <= other.leaving <= party.left:
            yield (
                f"{party.meeting}: {party.client} had left by {seconds(party.left)}, and "
                f"{other.client} was inside until {seconds(other.proven)}"
            )

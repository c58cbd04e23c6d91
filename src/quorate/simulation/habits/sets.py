"""Which habits meet in one world: each set is a workload for `World(plan, habits=...)`."""

from __future__ import annotations

from typing import Final

from quorate.simulation.habits.barriers import guard
from quorate.simulation.habits.configs import configured, configurer
from quorate.simulation.habits.counting import teller
from quorate.simulation.habits.groups import follower, looker, member
from quorate.simulation.habits.latches import opener
from quorate.simulation.habits.limits import spender
from quorate.simulation.habits.meetings import party
from quorate.simulation.habits.reentrant import nester
from quorate.simulation.habits.registries import directory, offerer, picker
from quorate.simulation.workload import Habit, register, watcher

NUMBERS: Final[tuple[Habit, ...]] = (
    teller,
    teller,
    teller,
    opener,
    opener,
    opener,
    spender,
    spender,
    configurer,
    configurer,
    configured,
    register,
    watcher,
)
"""What is one key that many change: numbers, latches, limits, configurations."""
PRESENCE: Final[tuple[Habit, ...]] = (
    guard,
    guard,
    party,
    party,
    party,
    party,
    member,
    member,
    looker,
    follower,
    offerer,
    offerer,
    picker,
    directory,
    nester,
    nester,
)
"""What stands on who is there: barriers, meetings, groups, services, re-entrant locks."""
SETS: Final[dict[str, tuple[Habit, ...]]] = {"numbers": NUMBERS, "presence": PRESENCE}

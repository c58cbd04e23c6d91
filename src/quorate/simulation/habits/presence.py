"""Who is there, by what each client knows of itself: what every view has to come to."""

from __future__ import annotations

from collections.abc import Callable

from quorate.simulation.workload import Habits


def present(habits: Habits, recipe: str) -> list[str]:
    """Return what the living clients hold of a recipe, in order."""
    return sorted(
        each
        for name, held in habits.holding.get(recipe, {}).items()
        if habits.processes[name].alive
        for each in held
    )


def expect(habits: Habits, recipe: str, name: str, seen: Callable[[], list[str]]) -> None:
    """Let the run be over only when the client of this name sees those that are there."""

    def words() -> str:
        sees, there = sorted(seen()), present(habits, recipe)
        return "" if sees == there else f"sees {sees} in the {recipe}, where {there} are"

    habits.pending[name] = words

"""Runs a scenario: text with commands in it becomes the same text with what came of them.

A command is a line; `----` and the recorded output follow it, up to an empty line. Lines
that begin with # are comments. After `quietly` a command's output is only `ok`.
"""

from __future__ import annotations

from tests.scenarios import delivery, verbs
from tests.scenarios.verbs import ScenarioError, Scene

RULE = "----"
VERBS = {**verbs.VERBS, **delivery.VERBS}


def run(text: str) -> str:
    """Return the scenario with fresh outputs; raises ScenarioError with the line at fault."""
    scene = Scene()
    lines = text.splitlines()
    result: list[str] = []
    place = 0
    while place < len(lines):
        line = lines[place].strip()
        place += 1
        if not line or line.startswith("#"):
            result.append(line)
            continue
        result += [line, RULE, *_perform(scene, line, place), ""]
        if place < len(lines) and lines[place] == RULE:
            while place < len(lines) and lines[place].strip():
                place += 1
        if place < len(lines) and not lines[place].strip():
            place += 1
    return "\n".join(result).rstrip() + "\n"


def _perform(scene: Scene, line: str, number: int) -> list[str]:
    words = line.split()
    quietly = words[0] == "quietly"
    if quietly:
        words = words[1:]
    verb = VERBS.get(words[0]) if words else None
    if verb is None:
        raise ScenarioError(f"line {number}: unknown verb in {line!r}, known: {', '.join(VERBS)}")
    trace = scene.world.trace
    trace.clear()
    try:
        verb(scene, words[1:])
    except (ScenarioError, AssertionError, ValueError, LookupError) as error:
        told = "\n".join(trace)
        raise ScenarioError(f"line {number}, {line!r}: {error}\n{told}") from error
    return ["ok"] if quietly or not trace else list(trace)

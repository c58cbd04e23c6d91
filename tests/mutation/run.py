"""One process of the gate: imports the product, mutated or not, and runs seeds on it."""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
from typing import Any

from tests.mutation import hook
from tests.mutation.mutants import MUTANTS

DENSITY = 3
"""How much more of each fault that suits, in every fifth run."""


def run(seed: int, faults: str) -> Any:
    """Run one seed: all faults, or those that suit and many of them, or those that suit."""
    plan_module = sys.modules["quorate.simulation.plan"]
    world_module = sys.modules["quorate.simulation.world"]
    kinds = tuple(sys.modules["quorate.simulation.faults"].FaultKind)
    if faults and seed % 3:
        kinds = tuple(kind for kind in kinds if kind.value in faults.split(","))
        kinds *= DENSITY if seed % 5 == 4 else 1
    plan = plan_module.draw_plan(seed, kinds=kinds)
    return world_module.World(plan).run()


def main(arguments: list[str]) -> int:
    """Run seeds until one breaks a promise, or one seed on the clean product."""
    mode, index, number, *rest = arguments
    mutant = MUTANTS[int(index)]
    if mode == "--mutant":
        hook.install(mutant)
    __import__("quorate.simulation.world")
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    if mode == "--clean":
        return int(bool(run(int(number), mutant.faults).violations))
    deadline = time.monotonic() + float(number)
    seed = int(rest[0]) if rest else 0
    found = {"seed": -1, "seeds": seed, "checker": "none"}
    while time.monotonic() < deadline:
        result = run(seed, mutant.faults)
        found["seeds"] = seed + 1
        if result.violations:
            found.update(seed=seed, checker=result.violations[0].checker)
            break
        seed += 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What the links of a simulated network do at the moment."""

from __future__ import annotations

from quorate.simulation.scheduler import MICROSECOND


class Weather:
    """What links do; the faults turn it. Likelihoods count for single writes."""

    def __init__(self) -> None:
        self.latency_ns = 200 * MICROSECOND
        self.jitter_ns = 300 * MICROSECOND
        self.loss = 0.0
        self.repeat = 0.0
        self.overtake = 0.0
        self.reset = 0.0
        self.spike = 0.0
        self.spike_ns = 0
        self.cut: dict[tuple[str, str], int] = {}
        """(from, to) → how many faults cut this direction."""

    def blocked(self, source: str, target: str) -> bool:
        """Whether nothing passes in this direction now."""
        return bool(self.cut) and (source, target) in self.cut

    def block(self, source: str, target: str) -> None:
        """Cut one direction once more."""
        self.cut[source, target] = self.cut.get((source, target), 0) + 1

    def unblock(self, source: str, target: str) -> None:
        """Take one cut of this direction back."""
        left = self.cut.get((source, target), 0) - 1
        if left > 0:
            self.cut[source, target] = left
        else:
            self.cut.pop((source, target), None)

    def calm(self) -> None:
        """No faults on any link from now on."""
        self.loss = self.repeat = self.overtake = self.reset = self.spike = 0.0
        self.cut.clear()

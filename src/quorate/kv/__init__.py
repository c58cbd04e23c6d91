"""The replicated key-value machine: pure, deterministic, the same on every node."""

"""Distributed locks, coordination and a replicated key-value store."""

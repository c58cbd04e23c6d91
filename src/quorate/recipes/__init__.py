"""Coordination recipes: plain async code on the Store port, the same on every engine."""

from quorate.recipes.claim import Claim, HeldLock
from quorate.recipes.election import Election, Leader
from quorate.recipes.leases import LeaseKeeper, SharedLease
from quorate.recipes.lock import Lock
from quorate.recipes.sharing import ReadLock, Semaphore, WriteLock

__all__ = [
    "Claim",
    "Election",
    "HeldLock",
    "Leader",
    "LeaseKeeper",
    "Lock",
    "ReadLock",
    "Semaphore",
    "SharedLease",
    "WriteLock",
]

"""Coordination recipes: plain async code on the Store port, the same on every engine."""

from quorate.recipes.leases import LeaseKeeper, SharedLease
from quorate.recipes.lock import HeldLock, Lock

__all__ = ["HeldLock", "LeaseKeeper", "Lock", "SharedLease"]

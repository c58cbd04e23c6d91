"""Coordination recipes: plain async code on the Store port, the same on every engine."""

from quorate.recipes.barriers import Barrier, DoubleBarrier
from quorate.recipes.claim import Claim, HeldLock
from quorate.recipes.config import Config, Version
from quorate.recipes.counting import Counter, Latch, Sequence
from quorate.recipes.election import Election, Leader
from quorate.recipes.groups import ChangeKind, Group, Member, MemberChange, Membership, View
from quorate.recipes.instances import Instance, InstanceChange, InstanceView
from quorate.recipes.leases import LeaseKeeper, SharedLease
from quorate.recipes.lock import Lock
from quorate.recipes.queues import Element, Queue
from quorate.recipes.rates import RateLimiter
from quorate.recipes.reentrant import ReentrantLock
from quorate.recipes.registry import Registration, Registry
from quorate.recipes.sharing import ReadLock, Semaphore, WriteLock

__all__ = [
    "Barrier",
    "ChangeKind",
    "Claim",
    "Config",
    "Counter",
    "DoubleBarrier",
    "Election",
    "Element",
    "Group",
    "HeldLock",
    "Instance",
    "InstanceChange",
    "InstanceView",
    "Latch",
    "Leader",
    "LeaseKeeper",
    "Lock",
    "Member",
    "MemberChange",
    "Membership",
    "Queue",
    "RateLimiter",
    "ReadLock",
    "ReentrantLock",
    "Registration",
    "Registry",
    "Semaphore",
    "Sequence",
    "SharedLease",
    "Version",
    "View",
    "WriteLock",
]

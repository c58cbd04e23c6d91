"""Waiting until a change of members shows: it is committed before every node tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Final

from quorate.engines.cluster.store import ClusterStore

LOOK_SECONDS: Final = 0.05


async def settled(store: ClusterStore, member: int, parts: Container[str]) -> None:
    """Wait until a member has one of these parts ("voter", "learner"; "": it is none)."""
    while True:
        members = (await store.members()).members
        if next((each.part for each in members if each.id == member), "") in parts:
            return
        await asyncio.sleep(LOOK_SECONDS)

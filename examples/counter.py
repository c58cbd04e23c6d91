"""Increments a counter under a distributed lock: run several of these at once.

Start a cluster first: `quorate dev`.
"""

from __future__ import annotations

import asyncio

import quorate

ROUNDS = 10


async def main() -> None:
    async with quorate.AsyncClient() as client:
        for _ in range(ROUNDS):
            async with client.lock("locks/counter", ttl=10) as held:
                found = await client.kv.get("counter")
                count = int(found.value) + 1 if found else 1
                await client.kv.put("counter", str(count))
                print(f"counter {count}, token {held.token}")


asyncio.run(main())

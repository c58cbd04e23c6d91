"""One program, whatever is behind the URL: in this process, on this disk, or in a cluster.

python examples/three_rungs.py memory:
python examples/three_rungs.py file:./store
python examples/three_rungs.py quorate://127.0.0.1:7400
python examples/three_rungs.py etcd://127.0.0.1:2379
"""

from __future__ import annotations

import asyncio
import sys

import quorate


async def main(url: str) -> None:
    """Sell tickets to a crowd: three at the counters at once, one of them counts."""
    async with quorate.AsyncClient(url) as client:
        await client.kv.put("tickets/left", "10")
        sold: list[str] = []

        async def buy(visitor: int) -> None:
            counters, lock = client.semaphore("tickets/counters", 3), client.lock("tickets/till")
            async with counters, lock as till:
                found = await client.kv.get("tickets/left")
                left = int(found.value) if found else 0
                till.check()
                if left:
                    await client.kv.put("tickets/left", str(left - 1))
                    sold.append(f"visitor {visitor}")

        await asyncio.gather(*(buy(visitor) for visitor in range(12)))
        found = await client.kv.get("tickets/left")
        print(f"{len(sold)} tickets sold, {found.value.decode() if found else '?'} left")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "memory:"))

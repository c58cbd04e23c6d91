"""The classic: one lock on the ZooKeeper that you run, taken in the way that keeps it a lock.

python examples/zookeeper_lock.py                                    # localhost:2181
python examples/zookeeper_lock.py zookeeper://10.0.0.7:2181/app 5    # and a ttl in seconds
"""

from __future__ import annotations

import asyncio
import sys

import quorate
from quorate.recipes import HeldLock

NAME = "my_lock"
WORK_SECONDS = 1.0


async def work(held: HeldLock) -> None:
    """Do in steps what must not be done twice, and say under which token."""
    for step in range(1, 4):
        held.check()
        print(f"step {step} under token {held.token}", flush=True)
        await asyncio.sleep(WORK_SECONDS / 3)


async def main(url: str, ttl: float) -> None:
    """Wait for the lock, work, give it back; begin anew when the session was lost."""
    async with quorate.AsyncClient(url) as client:
        while True:
            try:
                print(f"waiting for /{NAME}", flush=True)
                async with client.lock(NAME, ttl=ttl) as held:
                    await work(held)
            except quorate.LockLost:
                # The body was stopped at once: somebody else may have the lock by now.
                print("the session was lost, and the lock with it: once more", flush=True)
            else:
                print("done, and released", flush=True)
                return


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    asyncio.run(main(given.get(1, "zookeeper://localhost:2181"), float(given.get(2, "10"))))

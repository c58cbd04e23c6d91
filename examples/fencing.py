"""Why a lock needs a fence: a holder pauses for longer than its lease, wakes up, and writes.

python examples/fencing.py
python examples/fencing.py quorate://127.0.0.1:7400

Two processes pay into one account under a lock. The first one is stopped (SIGSTOP) after its last
look at the lock and before its write, as a long garbage collection or a migrating machine would
stop it, and goes on (SIGCONT) when the second has paid in. That happens twice: with a plain write,
and with one that a fence guards.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import quorate
from quorate.fencing import fenced_write
from quorate.recipes import HeldLock

TTL = 1.0
LOCK = "accounts/42"
Write = Callable[[Path, bytes, int], None]


def plain_write(path: Path, data: bytes, token: int) -> None:
    """Write without asking anybody."""
    del token
    path.write_bytes(data)


WRITES: dict[str, Write] = {"plain": plain_write, "fenced": fenced_write}


def pay_in(name: str, amount: int, held: HeldLock, path: Path, write: Write) -> None:
    """Read the balance, and write a greater one."""
    balance = int(path.read_bytes()) + amount
    held.check()
    if name == "A":
        signal.raise_signal(signal.SIGSTOP)
    write(path, b"%d" % balance, held.token)
    print(f"  {name} (token {held.token}) wrote {balance}", flush=True)


def sleeper(url: str, path: Path, write: Write) -> None:
    """Be the process that pauses at the worst moment."""
    with quorate.Client(url) as client:
        lock = client.lock(LOCK, ttl=TTL)
        held = lock.acquire()
        print(f"  A (token {held.token}) holds the lock, and falls asleep", flush=True)
        try:
            pay_in("A", 10, held, path, write)
        except quorate.StaleToken as error:
            print(f"  A is refused: StaleToken: {error.token} is below {error.highest}", flush=True)
        lock.release()


def story(client: quorate.Client, directory: Path, kind: str) -> None:
    """Let A sleep through its lease while B pays in."""
    path = directory / f"account-{kind}"
    path.write_bytes(b"100")
    print(f"{kind} writes, the account holds 100:", flush=True)
    sleeping = subprocess.Popen([sys.executable, __file__, client.url, kind, str(path)])
    try:
        _, status = os.waitpid(sleeping.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            raise SystemExit("A ended before it could fall asleep: see what it said above")
        with client.lock(LOCK, ttl=TTL) as held:
            pay_in("B", 5, held, path, WRITES[kind])
        sleeping.send_signal(signal.SIGCONT)
        sleeping.wait()
    finally:
        sleeping.kill()
        sleeping.wait()
    balance = int(path.read_bytes())
    verdict = "right: A knows that it has to start again" if balance == 105 else "B's 5 are lost"
    print(f"  the account holds {balance}: {verdict}", flush=True)


def main(url: str, directory: Path) -> None:
    """Tell the story twice."""
    with quorate.Client(url) as client:
        for kind in WRITES:
            story(client, directory, kind)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sleeper(sys.argv[1], Path(sys.argv[3]), WRITES[sys.argv[2]])
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(sys.argv[1] if len(sys.argv) > 1 else f"file:{temporary}/store", Path(temporary))

"""The table of commands: each is a module, imported when it is called for.

A command's module has `build_parser()` and `run(arguments) -> exit code`.
"""

from __future__ import annotations

from typing import Final

COMMANDS: Final = {
    "dev": ("quorate.cli.dev", "a live cluster on this machine, for development"),
    "demo": ("quorate.cli.demo", "a tour of 20 seconds: a lock, a counter and a dead leader"),
    "serve": ("quorate.cli.serve", "run one node"),
    "status": ("quorate.cli.status", "how the cluster is"),
    "member": ("quorate.cli.member", "list, add, remove, promote members; hand over leadership"),
    "kv": ("quorate.cli.kv", "get, put, delete, range, watch keys"),
    "lock": ("quorate.cli.lock", "run a command under a lock"),
    "elect": ("quorate.cli.elect", "run a command while leading"),
    "semaphore": ("quorate.cli.semaphore", "run a command, at most so many of them at once"),
    "queue": ("quorate.cli.queue", "put elements into a queue, take them"),
    "barrier": ("quorate.cli.barrier", "raise and lift a barrier, wait at it"),
    "registry": ("quorate.cli.registry", "list, watch, register instances of a service"),
    "snapshot": ("quorate.cli.snapshot", "save, check and restore backups"),
    "recover": ("quorate.cli.recover", "make a new cluster of one node after a lost quorum"),
    "simulate": ("quorate.cli.simulate", "run clusters in virtual time, with every fault"),
    "completion": ("quorate.cli.completion", "print a shell's completion script"),
}

"""Shared by the tests of the key-value machine: building entries, applying them."""

from __future__ import annotations

from collections.abc import Sequence

from quorate.kv.commands import (
    BATCH_FORMAT,
    Batch,
    Command,
    Envelope,
    Outcome,
    Refusal,
    RefusalCode,
    encode_batch,
    encode_commands,
)
from quorate.kv.machine import KeyValueMachine
from quorate.store import Limits

LIMITS = Limits()


def envelope(
    commands: Sequence[Command],
    *,
    session: int = 0,
    birth: int = 0,
    sequence: int = 0,
    acked_upto: int = 0,
) -> Envelope:
    body = encode_commands(list(commands))
    return Envelope("", 0, session, birth, sequence, acked_upto, body)


def entry(*envelopes: Envelope, time_ms: int = 0) -> bytes:
    return encode_batch(Batch(BATCH_FORMAT, time_ms, envelopes))


def run(machine: KeyValueMachine, *commands: Command) -> list[Outcome]:
    ((_, outcomes),) = machine.apply(machine.applied_index + 1, entry(envelope(commands)))
    return outcomes


def one(machine: KeyValueMachine, command: Command) -> Outcome:
    (outcome,) = run(machine, command)
    return outcome


def refused(outcome: object, code: RefusalCode) -> bool:
    return isinstance(outcome, Refusal) and outcome.code is code


def copy(machine: KeyValueMachine) -> KeyValueMachine:
    other = KeyValueMachine(machine.limits)
    other.restore(machine.capture())
    return other

"""Exactly-once writes: coalesced per turn of the loop, numbered, retried, settled.

All writes that are made in one turn of the event loop share one envelope. The envelope is
encoded once and sent again, byte for byte, until it is answered: the machine remembers its
outcome under (session, sequence) and does it once.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from quorate.engines.cluster.link import Link, Pending
from quorate.errors import OutcomeUnknown, QuorateError, Unavailable
from quorate.kv.commands import (
    Command,
    OutcomeForgotten,
    Refusal,
    RefusalCode,
    decode_outcomes,
    encode_commands,
)
from quorate.kv.refusals import error_of
from quorate.kv.requests import Failed, Response, Write, Written, encode
from quorate.runtime.ports import Clock, Randomness
from quorate.store.limits import Limits
from quorate.store.types import Put

SECOND: Final = 1_000_000_000
ENVELOPE_BYTES_MAX: Final = 2 * 1024 * 1024
COMMAND_OVERHEAD_BYTES: Final = 64
REFUSED_UNSEEN: Final = (RefusalCode.STORAGE, RefusalCode.LIMIT_EXCEEDED)
"""Refusals of a node that did not look whether an earlier attempt went through."""


class Envelope:
    """One numbered batch on its way, with the callers that wait for it."""

    __slots__ = ("body", "futures", "sequence", "session")

    def __init__(self, body: bytes, futures: list[asyncio.Future[Any]]) -> None:
        self.body = body
        self.futures = futures
        self.session = 0
        self.sequence = 0


class Writer:
    """The session of one client."""

    def __init__(
        self, link: Link, *, clock: Clock, randomness: Randomness, limits: Limits, timeout: float
    ) -> None:
        self._link = link
        self._clock = clock
        self._randomness = randomness
        self._idle_max = int(limits.session_ttl / 2 * SECOND)
        self._timeout = int(timeout * SECOND)
        self._loop = asyncio.get_running_loop()
        self._commands: list[Command] = []
        self._futures: list[asyncio.Future[Any]] = []
        self._bytes = 0
        self._scheduled = False
        self._session = 0
        self._birth = -1
        self._sequence = 0
        self._acked_upto = 0
        self._settled: set[int] = set()
        self._used_at = 0

    def put(self, command: Put) -> asyncio.Future[int]:
        """Write one key; the future gives its revision."""
        return self.write(command, len(command.key) + len(command.value))

    def write(self, command: Command, size: int) -> asyncio.Future[Any]:
        """Write one command of about `size` bytes; the future gives its outcome."""
        if self._bytes + size > ENVELOPE_BYTES_MAX:
            self._flush()
        self._bytes += size + COMMAND_OVERHEAD_BYTES
        future: asyncio.Future[Any] = self._loop.create_future()
        self._commands.append(command)
        self._futures.append(future)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        self._scheduled = False
        if not self._commands:
            return
        commands, self._commands = self._commands, []
        futures, self._futures = self._futures, []
        self._bytes = 0
        self._submit(Envelope(encode_commands(commands), futures))

    def _submit(self, envelope: Envelope) -> None:
        now = self._clock.monotonic()
        idle = now - self._used_at > self._idle_max and self._acked_upto == self._sequence
        if self._session == 0 or idle:
            self._begin_session()
        self._used_at = now
        self._sequence += 1
        envelope.session, envelope.sequence = self._session, self._sequence

        def payload(request: int) -> bytes:
            if self._birth < 0:
                # The birth is what the first node said that was reached.
                self._birth = self._link.commit_index + 1
            return encode(
                Write(
                    request,
                    envelope.session,
                    self._birth,
                    envelope.sequence,
                    self._acked_upto if envelope.session == self._session else 0,
                    envelope.body,
                )
            )

        def succeed(response: Response) -> None:
            assert type(response) is Written
            self._succeed(envelope, pending, response)

        def fail(pending: Pending, failed: Failed | None) -> None:
            self._fail(envelope, pending, failed)

        pending = Pending(payload, succeed, fail, now + self._timeout)
        try:
            self._link.submit(pending)
        except Unavailable as error:
            _raise_all(envelope.futures, error)

    def _begin_session(self) -> None:
        self._session = self._randomness.bits(62) + 1
        self._birth = self._link.commit_index + 1 if self._link.connected else -1
        self._sequence = 0
        self._acked_upto = 0
        self._settled.clear()

    def _settle(self, envelope: Envelope) -> None:
        if envelope.session != self._session:
            return
        self._settled.add(envelope.sequence)
        while self._acked_upto + 1 in self._settled:
            self._acked_upto += 1
            self._settled.discard(self._acked_upto)

    def _succeed(self, envelope: Envelope, pending: Pending, response: Written) -> None:
        outcomes = decode_outcomes(response.outcomes)
        first = outcomes[0] if outcomes else None
        if type(first) is Refusal and first.code is RefusalCode.SESSION_EXPIRED:
            self._expired(envelope, pending, first)
            return
        self._settle(envelope)
        for future, outcome in zip(envelope.futures, outcomes, strict=True):
            if future.done():
                continue
            if type(outcome) is Refusal:
                future.set_exception(error_of(outcome))
            elif type(outcome) is OutcomeForgotten:
                future.set_exception(
                    OutcomeUnknown(
                        f"the write happened at revision {outcome.revision}, but its large result "
                        "was not kept: read the keys at that revision"
                    )
                )
            else:
                future.set_result(outcome)

    def _expired(self, envelope: Envelope, pending: Pending, refusal: Refusal) -> None:
        if envelope.session == self._session:
            self._session = 0
        if pending.sent <= 1:
            # It was never sent before, so it did not happen: a fresh session takes it, with
            # a birth that only a new connection tells.
            self._link.move(self._link.address)
            self._submit(envelope)
            return
        _raise_all(envelope.futures, OutcomeUnknown(refusal.message))

    def _fail(self, envelope: Envelope, pending: Pending, failed: Failed | None) -> None:
        self._settle(envelope)
        error: QuorateError
        if failed is not None and (pending.sent <= 1 or failed.refusal.code not in REFUSED_UNSEEN):
            error = error_of(failed.refusal)
        elif pending.sent == 0:
            error = Unavailable(f"nothing was written: {self._link.explain()}")
        else:
            error = OutcomeUnknown(
                "the write was sent and not answered in time; it happened once or not at all: "
                f"read the keys to find out ({self._link.explain()})"
            )
        _raise_all(envelope.futures, error)


def _raise_all(futures: list[asyncio.Future[Any]], error: QuorateError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)

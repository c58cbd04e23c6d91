"""What leaves on one connection.

Laws: what is sent in one turn of the loop leaves in one write. A message leaves only within
the peer's windows, and while the operating system takes what we give it; until then it waits
in its stream's queue, and streams that wait take turns by frames. All queues together have a
bound, upon which the connection is dropped rather than the process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final, Protocol

from quorate.gateways.grpc.fields import ANSWER, NO_TABLE, OK
from quorate.gateways.grpc.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES,
    HEADER,
    HEADERS,
    ConnectionFault,
    ErrorCode,
    frame,
)
from quorate.gateways.grpc.framing import PREFIX, PREFIX_BYTES
from quorate.gateways.grpc.limits import LARGEST_WINDOW, SMALLEST_WINDOW

JOIN_LIMIT: Final = 256 * 1024
"""More than this does not gather: it is written at once."""
TABLE_BYTES: Final = 4096
"""What every peer's table of fields has at first."""
_OPEN: Final = Struct(f">IBI{len(ANSWER)}sIBIBI").pack
_OPEN_WORD: Final = len(ANSWER) << 8 | HEADERS
_CLOSE: Final = Struct(f">IBI{len(OK)}s").pack
_CLOSE_WORD: Final = len(OK) << 8 | HEADERS
_CLOSE_FLAGS: Final = END_HEADERS | END_STREAM
_ANSWER_BYTES: Final = 64 + len(ANSWER) + len(OK)


class Piece:
    """A message that waits, and who waits for it."""

    __slots__ = ("begun", "left", "rest")

    def __init__(self, data: bytes, left: asyncio.Future[None]) -> None:
        self.rest = memoryview(data)
        self.left = left
        self.begun = False


class Sender(Protocol):
    """A stream, as far as sending goes."""

    identifier: int
    window: int
    """What the peer takes on this stream; may be negative."""
    began: bool
    """Whether the answer's head was sent."""
    queue: deque[Piece]
    final: bytes
    """The block to send when the queue has left; empty while there is none."""

    def finished(self) -> None:
        """Note that the end of the stream was sent."""


class Outgoing:
    """The sending side of a connection."""

    __slots__ = (
        "_ended",
        "_frame_bytes",
        "_gathered",
        "_gathered_bytes",
        "_loop",
        "_on_overflow",
        "_ready",
        "_scheduled",
        "_table_notice",
        "_transport",
        "_unsent",
        "_unsent_limit",
        "_writable",
        "answered",
        "initial_window",
        "window",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        unsent_limit: int,
        on_overflow: Callable[[int], None],
    ) -> None:
        self.window = SMALLEST_WINDOW
        self.initial_window = SMALLEST_WINDOW
        self.answered = 0
        """How many messages and ends were sent: what the peer's frames brought about."""
        self._frame_bytes = FRAME_BYTES
        self._loop = loop
        self._transport = transport
        self._unsent_limit = unsent_limit
        self._on_overflow = on_overflow
        self._gathered: list[bytes | memoryview] = []
        self._gathered_bytes = 0
        self._scheduled = False
        self._ready: dict[Sender, None] = {}
        self._unsent = 0
        self._table_notice = b""
        self._writable = True
        self._ended = False

    def control(self, data: bytes) -> None:
        """Send frames that no window holds back."""
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        self._schedule()

    def answer(self, sender: Sender, payload: bytes) -> None:
        """Send everything that a call with one response is answered by."""
        size = len(payload) + PREFIX_BYTES
        if (
            size > self.window
            or size > sender.window
            or size > self._frame_bytes
            or not self._writable
            or self._table_notice
        ):
            self.message(sender, payload)
            self.end(sender, OK)
            return
        self.window -= size
        self.answered += 1
        identifier = sender.identifier
        self._gathered += (
            _OPEN(
                _OPEN_WORD,
                END_HEADERS,
                identifier,
                ANSWER,
                size << 8,
                0,
                identifier,
                0,
                size - PREFIX_BYTES,
            ),
            payload,
            _CLOSE(_CLOSE_WORD, _CLOSE_FLAGS, identifier, OK),
        )
        self._gathered_bytes += size + _ANSWER_BYTES
        sender.finished()
        self._schedule()

    def message(self, sender: Sender, payload: bytes) -> asyncio.Future[None] | None:
        """Send a message; return None if it has left, else what is done when it has."""
        if not sender.began:
            sender.began = True
            self._headers(sender, END_HEADERS, ANSWER)
        self.answered += 1
        data = PREFIX.pack(0, len(payload)) + payload
        size = len(data)
        if (
            size <= self.window
            and size <= sender.window
            and size <= self._frame_bytes
            and self._writable
            and not sender.queue
        ):
            self.window -= size
            sender.window -= size
            self._gathered += (HEADER.pack(size << 8 | DATA, 0, sender.identifier), data)
            self._gathered_bytes += size
            self._schedule()
            return None
        left = self._loop.create_future()
        sender.queue.append(Piece(data, left))
        self._unsent += size
        if sender.window > 0:
            self._ready[sender] = None
        self._pump()
        if self._unsent > self._unsent_limit:
            self._on_overflow(self._unsent)
        return None if left.done() else left

    def end(self, sender: Sender, block: bytes) -> None:
        """Send the block that ends a stream, after what is queued."""
        if sender.queue:
            sender.final = block
            return
        self.answered += 1
        if not sender.began:
            sender.began = True
            block = ANSWER + block
        self._headers(sender, _CLOSE_FLAGS, block)
        sender.finished()

    def refuse(self, stream: int, block: bytes) -> None:
        """Answer a request by one block, without a stream of its own here."""
        notice, self._table_notice = self._table_notice, b""
        self.control(frame(HEADERS, _CLOSE_FLAGS, stream, notice + block))

    def drop(self, sender: Sender) -> bool:
        """Forget what is queued; return whether a message was cut in two by that."""
        queue = sender.queue
        if not queue:
            return False
        begun = queue[0].begun
        for piece in queue:
            self._unsent -= len(piece.rest)
            if not piece.left.done():
                piece.left.set_result(None)
        queue.clear()
        self._ready.pop(sender, None)
        return begun

    def widen(self, increment: int) -> None:
        """Note that the peer takes more on the connection; raises ConnectionFault."""
        self.window += increment
        if self.window > LARGEST_WINDOW:
            text = "the connection's window is too large"
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, text)
        self._pump()

    def widen_stream(self, sender: Sender, increment: int) -> None:
        """Note that the peer takes more on a stream, whose window the caller has checked."""
        sender.window += increment
        if sender.window <= 0:
            self._ready.pop(sender, None)
        elif sender.queue:
            self._ready[sender] = None
            self._pump()

    def resize(self, window: int, senders: Iterable[Sender]) -> None:
        """Note another initial window, which moves those of all streams; ConnectionFault."""
        difference = window - self.initial_window
        self.initial_window = window
        for sender in senders:
            if sender.window + difference > LARGEST_WINDOW:
                text = f"the window of stream {sender.identifier} is too large"
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, text)
            self.widen_stream(sender, difference)

    def resize_frames(self, size: int) -> None:
        """Note the largest frame that the peer takes."""
        self._frame_bytes = size

    def resize_table(self, size: int) -> None:
        """Note the peer's table of fields; we use none, but a smaller one wants a word."""
        if size < TABLE_BYTES:
            self._table_notice = NO_TABLE

    def pause(self) -> None:
        """Note that the operating system takes no more for now."""
        self._writable = False

    def resume(self) -> None:
        """Note that it takes more again."""
        self._writable = True
        self._pump()

    def flush(self) -> None:
        """Write what was gathered."""
        gathered = self._gathered
        if not gathered:
            return
        self._gathered = []
        size, self._gathered_bytes = self._gathered_bytes, 0
        if self._ended:
            return
        if size <= JOIN_LIMIT:
            self._transport.write(b"".join(gathered))
        else:
            self._transport.writelines(gathered)

    def stop(self) -> None:
        """Write what was gathered, and nothing from then on."""
        self.flush()
        self._ended = True

    def lose(self) -> None:
        """Write nothing from now on: the connection has ended."""
        self._ended = True
        self._gathered.clear()

    def _headers(self, sender: Sender, flags: int, block: bytes) -> None:
        if self._table_notice:
            block = self._table_notice + block
            self._table_notice = b""
        self.control(frame(HEADERS, flags, sender.identifier, block))

    def _pump(self) -> None:
        ready = self._ready
        while ready and self.window > 0 and self._writable:
            sender = next(iter(ready))
            del ready[sender]
            self._send_piece(sender)

    def _send_piece(self, sender: Sender) -> None:
        queue = sender.queue
        piece = queue[0]
        size = min(len(piece.rest), self.window, sender.window, self._frame_bytes)
        self.window -= size
        sender.window -= size
        self._unsent -= size
        self._gathered += (
            HEADER.pack(size << 8 | DATA, 0, sender.identifier),
            piece.rest[:size],
        )
        self._gathered_bytes += size
        self._schedule()
        piece.begun = True
        piece.rest = piece.rest[size:]
        if not piece.rest:
            queue.popleft()
            if not piece.left.done():
                piece.left.set_result(None)
        if not queue:
            if sender.final:
                self.end(sender, sender.final)
        elif sender.window > 0:
            self._ready[sender] = None

    def _schedule(self) -> None:
        if self._gathered_bytes > JOIN_LIMIT:
            self.flush()
        elif self._gathered and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush_later)

    def _flush_later(self) -> None:
        self._scheduled = False
        self.flush()

"""The bounds of a gRPC server; each has an error that the client sees."""

from __future__ import annotations

from typing import Final

import msgspec

from quorate.errors import ConfigurationError

LARGEST_WINDOW: Final = (1 << 31) - 1
SMALLEST_WINDOW: Final = 65_535
"""What HTTP/2 begins with, so that no client has sent more before it reads our settings."""


class GrpcLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a server takes, by connection where nothing else is said.

    Raises ConfigurationError when a bound makes no sense.
    """

    message_bytes: int = 2 * 1024 * 1024
    """One request message, also after decompression; over it RESOURCE_EXHAUSTED."""
    streams: int = 4096
    """Calls at a time; over it they are refused, and clients wait or try again."""
    connections: int = 10_000
    """Connections of the whole server; over it a new one is cut."""
    header_list_bytes: int = 64 * 1024
    """The headers of one request; over it the connection ends."""
    request_bytes: int = 64 * 1024 * 1024
    """Requests that are not read yet or being answered; over it a call is RESOURCE_EXHAUSTED."""
    unsent_bytes: int = 64 * 1024 * 1024
    """Responses that the client has no window for; over it the connection is dropped."""
    high_water_bytes: int = 1024 * 1024
    """Bytes that the operating system did not take yet; over it nothing is read or sent."""
    stream_window_bytes: int = 512 * 1024
    """What a client may send on a stream before the handler asks for it."""
    connection_window_bytes: int = 8 * 1024 * 1024
    """What a client may send on all streams before we have looked at it."""
    idle_frames: int = 5000
    """Frames that bring no call forward (resets, pings, settings, ...) at once."""
    idle_frames_per_second: float = 200.0
    """The same for long; over both the connection ends with ENHANCE_YOUR_CALM."""
    handshake_seconds: float = 5.0
    """From the connection to its first request head of HTTP/1, or to its settings of HTTP/2."""
    grace_seconds: float = 2.0
    """What calls have to end by themselves when the server closes."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} must be more than 0")
        for name in ("stream_window_bytes", "connection_window_bytes"):
            if not SMALLEST_WINDOW <= getattr(self, name) <= LARGEST_WINDOW:
                raise ConfigurationError(
                    f"{name} must be from {SMALLEST_WINDOW} to {LARGEST_WINDOW}, as HTTP/2 has it"
                )

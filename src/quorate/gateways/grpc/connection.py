"""One HTTP/2 connection of a client: its frames, and the streams that they are about.

Law: whatever comes, the only thing that can happen besides answers is that this connection
ends, told why by a GOAWAY. What the client does wrong is no error of the server, and is
logged for debugging only. Source: RFC 9113.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from quorate.gateways.grpc import frames
from quorate.gateways.grpc.codes import Code
from quorate.gateways.grpc.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES,
    HEADER,
    HEADER_BYTES,
    HEADERS,
    PADDED,
    SETTINGS,
    STREAM_MASK,
    WITH_PRIORITY,
    ConnectionFault,
    ErrorCode,
    without_padding,
)
from quorate.gateways.grpc.heads import Head, HeadReader, Refusal
from quorate.gateways.grpc.limits import LARGEST_WINDOW, SMALLEST_WINDOW, GrpcLimits
from quorate.gateways.grpc.methods import MethodTable, Peer, UnaryMethod
from quorate.gateways.grpc.outgoing import Outgoing
from quorate.gateways.grpc.patience import Patience
from quorate.gateways.grpc.stream import Stream, logger
from quorate.gateways.grpc.streaming import StreamingCall
from quorate.gateways.grpc.unary import UnaryCall
from quorate.runtime.transport.address import join_address

CLOSE_SECONDS: Final = 1.0
"""How long a connection that is closed may take to send what it still holds."""
_GOODBYE: Final = b"goodbye!"
"""The ping after which a draining connection knows that the client has seen its GOAWAY."""
_PING_BYTES: Final = 8

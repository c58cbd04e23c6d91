"""How many frames that bring no call forward a connection may send.

Each of them costs the server more than the client (CVE-2023-44487, rapid reset;
CVE-2019-9512 and others, floods of pings and settings). An honest client sends some with its
calls, so what was answered buys more, and so does time.
"""

from __future__ import annotations

from collections.abc import Callable

from quorate.gateways.grpc.frames import ConnectionFault, ErrorCode


class Patience:
    """A bucket of allowances, which fills up to `burst`. Times are seconds."""

    __slots__ = ("_answered", "_burst", "_clock", "_left", "_per_second", "_then")

    def __init__(self, burst: int, per_second: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._left: float = burst
        self._then = clock()
        self._answered = 0

    def spend(self, answered: int) -> None:
        """Take one allowance; `answered` is a count that rises by what earns one.

        Raises ConnectionFault when none is left.
        """
        now = self._clock()
        earned = (now - self._then) * self._per_second + answered - self._answered
        self._then, self._answered = now, answered
        self._left = min(self._left + earned, self._burst) - 1
        if self._left < 0:
            text = "too many frames that bring no call forward"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text)

"""A network in virtual time: byte streams between hosts, and everything that befalls them.

The model is TCP's. Bytes of one direction of a connection arrive in order, later, or not at
all; what a partition holds back arrives after it heals, or the sender gives up. A process
that dies resets its connections, a machine that loses power leaves them half open. Links
between nodes can besides lose, repeat and overtake whole writes, which are whole frames
there: this is how consensus meets a network worse than TCP.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from quorate.runtime.ports import Listening
from quorate.simulation.loop import ProcessLoop
from quorate.simulation.scheduler import MILLISECOND, SECOND, Scheduler
from quorate.simulation.weather import Weather

SOCKET_BUFFER_BYTES = 256 * 1024
GIVE_UP_NS = 15 * SECOND
"""How long bytes may wait for a partition to heal before the sender gives the connection up."""
RETRY_NS = 200 * MILLISECOND
CALL_AGAIN_NS = 1 * SECOND
"""When a call that nothing answered is repeated first; then after twice as long each time."""
FIRST_PORT = 30_000


class Host:
    """A machine's end of the network: who listens there, which streams end there."""

    def __init__(self, network: VirtualNetwork, name: str, loop: ProcessLoop) -> None:
        self.network = network
        self.name = name
        self.loop = loop
        self.listeners: dict[int, _Listening] = {}
        self.streams: dict[Stream, None] = {}
        self.is_node = False

    async def connect(
        self,
        factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Connect; the `Network` port."""
        assert tls is None, "a simulated network has no TLS"
        connected: asyncio.Future[None] = self.loop.create_future()
        self.network.dial(self, factory, (host, port), connected)
        await connected

    async def listen(
        self,
        factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> Listening:
        """Accept connections; the `Network` port."""
        assert tls is None, "a simulated network has no TLS"
        assert host == self.name, "a host listens on its own name"
        port = port or FIRST_PORT + len(self.listeners)
        if port in self.listeners:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        listening = _Listening(self, port, factory)
        self.listeners[port] = listening
        return listening

    def vanish(self) -> None:
        """Lose power: nobody is told."""
        self.listeners.clear()
        for stream in list(self.streams):
            stream.vanish()
        self.streams.clear()

    def reset_all(self) -> None:
        """The process is killed: the kernel resets its connections."""
        self.listeners.clear()
        for stream in list(self.streams):
            stream.send_reset()
            stream.vanish()
        self.streams.clear()


class _Listening:
    def __init__(self, host: Host, port: int, factory: Callable[[], asyncio.Protocol]) -> None:
        self._host = host
        self._port = port
        self.factory = factory

    @property
    def port(self) -> int:
        """The port."""
        return self._port

    def close(self) -> None:
        """Accept no more."""
        if self._host.listeners.get(self._port) is self:
            del self._host.listeners[self._port]


class VirtualNetwork:
    """All hosts and the links between them."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.weather = Weather()
        self.chance: Random = scheduler.stream("network")
        self.hosts: dict[str, Host] = {}
        self.processes: list[Any] = []
        """Every process that ever was, dead or alive."""
        self.streams_made = 0
        self.bytes_moved = 0

    def host(self, name: str, loop: ProcessLoop) -> Host:
        """Return a fresh host of this name; the one before is forgotten."""
        self.hosts[name] = host = Host(self, name, loop)
        return host

    def latency(self) -> int:
        """Draw how long a write is under way."""
        weather = self.weather
        chance = self.chance
        delay = weather.latency_ns + int(chance.random() * weather.jitter_ns)
        if weather.spike and chance.random() < weather.spike:
            delay += int(chance.random() * weather.spike_ns)
        return delay

    def dial(
        self,
        source: Host,
        factory: Callable[[], asyncio.Protocol],
        address: tuple[str, int],
        connected: asyncio.Future[None],
    ) -> None:
        """Begin to connect; the outcome goes to `connected`, perhaps never."""
        dialling = _Dialling(self, source, factory, address, connected)
        self.scheduler.after(self.latency(), dialling.arrive)


class _Dialling:
    """One attempt to connect, on its way there and back."""

    def __init__(
        self,
        network: VirtualNetwork,
        source: Host,
        factory: Callable[[], asyncio.Protocol],
        address: tuple[str, int],
        connected: asyncio.Future[None],
    ) -> None:
        self._network = network
        self._source = source
        self._factory = factory
        self._address = address
        self._connected = connected
        self._patience = CALL_AGAIN_NS

    def arrive(self) -> None:
        """The call reaches the other host, or does not: then it is made again, as TCP does."""
        network, source, (name, port) = self._network, self._source, self._address
        target = network.hosts.get(name)
        away = network.weather.blocked(source.name, name)
        if target is None or away or not target.loop.alive:
            if source.loop.alive and not self._connected.done():
                network.scheduler.after(self._patience, self.arrive)
                self._patience *= 2
            return
        listening = target.listeners.get(port)
        if listening is None:
            network.scheduler.after(network.latency(), self._refuse)
            return
        here, there = Stream(network, source, target), Stream(network, target, source)
        here.peer, there.peer = there, here
        here.lossy = there.lossy = source.is_node and target.is_node
        there.accept(listening.factory())
        network.scheduler.after(network.latency(), self._answer, here)

    def _refuse(self) -> None:
        error = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        self._source.loop.enter(_fail, self._connected, error)

    def _answer(self, here: Stream) -> None:
        name, _ = self._address
        if self._network.weather.blocked(name, self._source.name) or self._connected.done():
            here.send_reset()
        elif self._source.loop.alive:
            self._source.loop.enter(self._establish, here)

    def _establish(self, here: Stream) -> None:
        if self._connected.done():
            here.send_reset()
        elif here.is_closing():  # the other side hung up before this one knew of it
            _fail(self._connected, ConnectionResetError(errno.ECONNRESET, "reset"))
        else:
            here.accept_now(self._factory())
            self._connected.set_result(None)


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class Stream(asyncio.Transport):
    """One end of a connection: the transport that its protocol writes to."""

    def __init__(self, network: VirtualNetwork, host: Host, remote: Host) -> None:
        super().__init__()
        self._network = network
        self._scheduler = network.scheduler
        self._host = host
        self._remote = remote
        self._protocol: asyncio.Protocol | None = None
        self.peer: Stream
        self.lossy = False
        self._clean_writes = 1
        """The handshake is not worse than TCP."""
        self._last_arrival = 0
        self._in_flight = 0
        self._unread: deque[bytes] = deque()
        self.unread_bytes = 0
        self._held_since = 0
        self._held: deque[bytes] = deque()
        self._reading = True
        self._closing = False
        self._ended = False
        self.end_sent = False
        self.paused_protocol = False
        self._high = 64 * 1024
        self._low = 16 * 1024

    def accept(self, protocol: asyncio.Protocol) -> None:
        """Begin, from outside the process."""
        self._host.loop.enter(self.accept_now, protocol)

    def accept_now(self, protocol: asyncio.Protocol) -> None:
        """Begin, inside the process."""
        self._protocol = protocol
        self._host.streams[self] = None
        self._network.streams_made += 1
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        if self._closing or self._ended or not data:
            return
        data = bytes(data)
        self._in_flight += len(data)
        network = self._network
        network.bytes_moved += len(data)
        if self.lossy and self._worse_than_tcp(data):
            return
        if network.weather.reset and network.chance.random() < network.weather.reset:
            self._scheduler.after(0, self.break_both)
            return
        self._launch(data)
        self.mind_pressure()

    def writelines(self, list_of_data: Any) -> None:
        """Send several pieces as one."""
        self.write(b"".join(list_of_data))

    def _worse_than_tcp(self, data: bytes) -> bool:
        """Lose, repeat or let overtake a write between nodes; tell whether that is all of it."""
        if self._clean_writes:
            self._clean_writes -= 1
            return False
        weather, chance = self._network.weather, self._network.chance
        if weather.loss and chance.random() < weather.loss:
            self._in_flight -= len(data)
            return True
        if weather.repeat and chance.random() < weather.repeat:
            self._in_flight += len(data)
            self._scheduler.after(
                self._network.latency() + chance.randrange(20 * MILLISECOND), self._arrive, data
            )
        if weather.overtake and chance.random() < weather.overtake:
            self._scheduler.after(
                self._network.latency() + chance.randrange(20 * MILLISECOND), self._arrive, data
            )
            return True
        return False

    def _launch(self, data: bytes) -> None:
        arrival = max(self._scheduler.now + self._network.latency(), self._last_arrival)
        self._last_arrival = arrival
        self._scheduler.at(arrival, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        """Bytes reach the other host, unless the link is cut just now."""
        if self._held or self._network.weather.blocked(self._host.name, self._remote.name):
            if not self._held:
                self._held_since = self._scheduler.now
                self._scheduler.after(RETRY_NS, self._retry)
            self._held.append(data)
            return
        self._in_flight -= len(data)
        self.peer.receive(data)
        if self.paused_protocol:
            self.mind_pressure()

    def _retry(self) -> None:
        """Try again what a cut held back; give up after a while."""
        if not self._held:
            return
        if self._network.weather.blocked(self._host.name, self._remote.name):
            if self._scheduler.now - self._held_since >= GIVE_UP_NS:
                self._held.clear()
                self.end(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            else:
                self._scheduler.after(RETRY_NS, self._retry)
            return
        held, self._held = self._held, deque()
        for data in held:
            if data is _END:
                self.peer.end(None)
            else:
                self._arrive(data)

    def receive(self, data: bytes) -> None:
        """Take bytes from the other end."""
        if self._ended or self._protocol is None:
            # Nobody is here any more: the sender is told, if anything can tell it.
            powered = self._host.network.hosts.get(self._host.name)
            if self._host.loop.alive or powered is not self._host:
                self._reset_peer()
            return
        if not self._reading:
            self._unread.append(data)
            self.unread_bytes += len(data)
            return
        self._scheduler.trace.bytes(self._scheduler.now, data)
        self._host.loop.enter(self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if self._ended or self._protocol is None:
            return
        if not self._reading:
            self._unread.append(data)
            self.unread_bytes += len(data)
            return
        self._protocol.data_received(data)

    def mind_pressure(self) -> None:
        """Ask the protocol to pause or to go on, by what the sockets do not hold."""
        if self._protocol is None:
            return
        waiting = self.get_write_buffer_size()
        if not self.paused_protocol and waiting > self._high:
            self.paused_protocol = True
            self._protocol.pause_writing()
        elif self.paused_protocol and waiting <= self._low:
            self.paused_protocol = False
            if self._host.loop.alive and not self._ended:
                self._host.loop.enter(self._protocol.resume_writing)

    def get_write_buffer_size(self) -> int:
        """Bytes that the two sockets do not hold."""
        return max(0, self._in_flight + self.peer.unread_bytes - SOCKET_BUFFER_BYTES)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is asked to pause."""
        self._high = 64 * 1024 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the other side's name; nothing else is known."""
        return (self._remote.name, 0) if name == "peername" else default

    def is_closing(self) -> bool:
        """Whether the end has begun."""
        return self._closing or self._ended

    def is_reading(self) -> bool:
        """Whether bytes are delivered."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Deliver no more for now."""
        self._reading = False

    def resume_reading(self) -> None:
        """Deliver again, first what has waited."""
        self._reading = True
        unread, self._unread = self._unread, deque()
        self.unread_bytes = 0
        for data in unread:
            self._host.loop.call_soon(self._deliver, data)
        if self.peer.paused_protocol:
            self._scheduler.after(0, self.peer.mind_pressure)

    def close(self) -> None:
        """Send what is under way, then end."""
        if self._closing or self._ended:
            return
        self._closing = True
        arrival = max(self._scheduler.now + self._network.latency(), self._last_arrival)
        self._scheduler.at(arrival, self._end_arrives)
        self._host.loop.call_soon(self.finish, None)

    def _end_arrives(self) -> None:
        if self._held or self._network.weather.blocked(self._host.name, self._remote.name):
            if not self._held:
                self._held_since = self._scheduler.now
                self._scheduler.after(RETRY_NS, self._retry)
            self._held.append(_END)
        else:
            self.peer.end(None)

    def abort(self) -> None:
        """End at once."""
        if self._ended:
            return
        self._closing = True
        self.send_reset()
        self._host.loop.call_soon(self.finish, None)

    def send_reset(self) -> None:
        """Tell the other end that this one is gone, if the link lets it."""
        if self.end_sent:
            return
        self.end_sent = True
        self._reset_peer()

    def _reset_peer(self) -> None:
        def arrive() -> None:
            if not self._network.weather.blocked(self._host.name, self._remote.name):
                self.peer.end(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

        self._scheduler.after(self._network.latency(), arrive)

    def break_both(self) -> None:
        """The connection breaks: both ends hear of it, and bytes under way are lost."""
        for end in (self, self.peer):
            end.end_sent = True
            end.end(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def vanish(self) -> None:
        """End without a word to the protocol: its process is dead."""
        self._ended = True

    def end(self, error: Exception | None) -> None:
        """The other side, or the network, ended it."""
        if self._ended:
            return
        self._closing = True
        if self._host.loop.alive:
            self._host.loop.enter(self.finish, error)

    def finish(self, error: Exception | None) -> None:
        """Tell the protocol, inside the process."""
        if self._ended:
            return
        self._ended = True
        self._host.streams.pop(self, None)
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(error)


_END = b"the end of the stream, never sent as bytes"

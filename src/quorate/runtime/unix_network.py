"""A network of one address: a Unix socket in a directory, for the processes of one machine."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from quorate.runtime.network import BACKLOG, RealListening
from quorate.runtime.ports import Listening

SOCKET: Final = "socket"
SOCKET_MODE: Final = 0o600


class UnixNetwork:
    """Whatever host and port are asked for: it is the socket in `directory`.

    A socket's name has 107 bytes at most, so the directory is named by a descriptor.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory

    async def connect(
        self,
        factory: Callable[[], asyncio.Protocol],
        host: str,  # noqa: ARG002  there is one place
        port: int,  # noqa: ARG002  there is one place
        tls: ssl.SSLContext | None,
    ) -> None:
        """Connect a protocol of the factory's making; raises OSError."""
        assert tls is None, "within one machine the file system says who may connect"
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            one.connect(_name(descriptor))
        except BaseException:
            one.close()
            raise
        finally:
            os.close(descriptor)
        await asyncio.get_running_loop().create_unix_connection(factory, sock=one)

    async def listen(
        self,
        factory: Callable[[], asyncio.Protocol],
        host: str,  # noqa: ARG002  there is one place
        port: int,
        tls: ssl.SSLContext | None,
    ) -> Listening:
        """Accept connections in the place of whoever did before; raises OSError."""
        assert tls is None, "within one machine the file system says who may connect"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(FileNotFoundError):
                os.unlink(SOCKET, dir_fd=descriptor)
            listener.bind(_name(descriptor))
            os.chmod(SOCKET, SOCKET_MODE, dir_fd=descriptor)
            listener.listen(BACKLOG)
            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(factory, sock=listener, backlog=BACKLOG)
        except BaseException:
            listener.close()
            raise
        finally:
            os.close(descriptor)
        return RealListening(server, port)


def _name(directory: int) -> str:
    return f"/proc/self/fd/{directory}/{SOCKET}"

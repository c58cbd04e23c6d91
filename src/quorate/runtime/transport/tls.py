"""Mutual TLS from three files.

Law: no certificate, no connection, on either side; and a renewed certificate needs no
restart. The files are looked at on each new connection. When they changed but do not fit
together, as in the moment between replacing one and the next, the old ones stay in force.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeAlias

import msgspec

from quorate.errors import ConfigurationError

logger = logging.getLogger("quorate.transport")

FileState: TypeAlias = tuple[int, int, int, int]


class TlsConfig(msgspec.Struct, frozen=True):
    """Paths of PEM files: our certificate (chain), its key, and whom we trust."""

    certificate: str
    key: str
    authority: str

    def server_context(self) -> ssl.SSLContext:
        """Return a context for listening; raises ConfigurationError."""
        return self._load(ssl.PROTOCOL_TLS_SERVER)

    def client_context(self) -> ssl.SSLContext:
        """Return a context for dialling, which also checks the name; ConfigurationError."""
        return self._load(ssl.PROTOCOL_TLS_CLIENT)

    def _load(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
            context.load_verify_locations(self.authority)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the TLS files {self.certificate}, {self.key} and {self.authority} cannot be "
                f"used ({error}): they must be readable PEM files, and the key must be without "
                "a password and fit the certificate"
            ) from error
        return context


class ReloadingContext(ssl.SSLContext):
    """A context whose every connection uses the files as they are at that moment.

    The event loops call `wrap_bio` once per connection; that call is passed on to an inner
    context, made anew when the files change. A context cannot be told to trust an authority
    no longer, or to forget its sessions, so nothing less than a new one would do.
    """

    _make: Callable[[], ssl.SSLContext]
    _paths: tuple[str, ...]
    _state: tuple[FileState | None, ...]
    _current: ssl.SSLContext

    @classmethod
    def for_server(cls, config: TlsConfig, *, protocols: Sequence[str] = ()) -> Self:
        """Return a context for listening, which offers protocols (ALPN); ConfigurationError."""

        def make() -> ssl.SSLContext:
            context = config.server_context()
            if protocols:
                context.set_alpn_protocols(protocols)
            return context

        return cls._of(ssl.PROTOCOL_TLS_SERVER, config, make)

    @classmethod
    def for_client(cls, config: TlsConfig) -> Self:
        """Return a context for dialling; raises ConfigurationError."""
        return cls._of(ssl.PROTOCOL_TLS_CLIENT, config, config.client_context)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature is ssl's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection with the files of this moment."""
        self._refresh()
        return self._current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    @classmethod
    def _of(cls, protocol: int, config: TlsConfig, make: Callable[[], ssl.SSLContext]) -> Self:
        self = cls(protocol)
        self._make = make
        self._paths = (config.certificate, config.key, config.authority)
        # Looked at before loading, so that a change in between is seen later, not missed.
        self._state = _states(self._paths)
        self._current = make()
        return self

    def _refresh(self) -> None:
        state = _states(self._paths)
        if state == self._state:
            return
        self._state = state
        try:
            self._current = self._make()
        except ConfigurationError as error:
            logger.warning("changed TLS files were not taken, the old ones stay: %s", error)
        else:
            logger.info("TLS files were reloaded")


def _states(paths: tuple[str, ...]) -> tuple[FileState | None, ...]:
    return tuple(_state(path) for path in paths)


def _state(path: str) -> FileState | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    # The change time too: it moves with every write, even one that restores the other two.
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal, and the node would hang.
    raise ValueError("the key has a password")

"""The servers of an etcd cluster: which one is asked, and when another is.

Every server answers linearizably, so one is as good as another until it fails. A call that may
be repeated moves on to the next server until its deadline. One that may not is sent again only
when it certainly reached nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from grpc.aio import AioRpcError, Channel, StreamStreamCall, insecure_channel, secure_channel

from quorate.codecs.etcd.messages import AuthenticateRequest
from quorate.codecs.etcd.services import RPCS, Rpc
from quorate.engines.etcd.errors import LOGIN_ENDED, is_compacted, never_sent, refusal_of
from quorate.errors import ConfigurationError, OutcomeUnknown, QuorateError, Unavailable
from quorate.runtime.transport.tls import TlsConfig

ATTEMPT_SECONDS: Final = 2.0
"""How long one server may take for a call that another could answer."""
RETRY_SECONDS: Final = 0.05
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
)
_Metadata = tuple[tuple[str, str], ...]


class Endpoints:
    """All servers, and the one in use. Calls are named as "Service/Method"."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        tls: TlsConfig | None,
        user: tuple[str, str] | None,
        timeout: float,
    ) -> None:
        self._addresses = list(addresses)
        self._credentials = _credentials(tls) if tls is not None else None
        self._user = user
        self._token = ""
        self._timeout = timeout
        self._channels: dict[str, Channel] = {}
        self._current = 0

    async def ask(self, method: str, request: Any) -> Any:
        """Make a call that does no harm when it is done twice; raises Unavailable in the end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while True:
            left = deadline - loop.time()
            try:
                return await self._call(method, request, min(ATTEMPT_SECONDS, max(left, 0.001)))
            except AioRpcError as error:
                self._after(error)
                if loop.time() + RETRY_SECONDS >= deadline:
                    raise Unavailable(self._explain(method, error)) from error
            await asyncio.sleep(RETRY_SECONDS)

    async def tell(self, method: str, request: Any) -> Any:
        """Make a call that must be done once at most; OutcomeUnknown when that is all one knows."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while True:
            try:
                return await self._call(method, request, max(deadline - loop.time(), 0.001))
            except AioRpcError as error:
                self._after(error)
                if not never_sent(error):
                    raise OutcomeUnknown(
                        "the write was sent and not answered in time; it happened once or not at "
                        f"all: read the keys to find out ({self._explain(method, error)})"
                    ) from error
                if loop.time() + RETRY_SECONDS >= deadline:
                    raise Unavailable(
                        f"nothing was written: {self._explain(method, error)}"
                    ) from error
            await asyncio.sleep(RETRY_SECONDS)

    async def stream(self, method: str, requests: AsyncIterator[Any]) -> StreamStreamCall[Any, Any]:
        """Open a stream in both directions to the server in use."""
        rpc = _rpc(method)
        call = self._channel().stream_stream(
            rpc.path,
            request_serializer=_serialize,
            response_deserializer=rpc.response.FromString,
        )
        return call(requests, metadata=await self._metadata())

    def log_out(self) -> bool:
        """Ask for a new token before the next call; tell whether there is a user to do that."""
        self._token = ""
        return self._user is not None

    def leave(self) -> None:
        """Use the next server from now on."""
        self._current = (self._current + 1) % len(self._addresses)

    async def close(self) -> None:
        """Close every connection."""
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            await channel.close()

    async def _call(self, method: str, request: Any, seconds: float) -> Any:
        rpc = _rpc(method)
        # A stream that is asked once and answers once is a plain call to the protocol.
        call = self._channel().unary_unary(
            rpc.path,
            request_serializer=_serialize,
            response_deserializer=rpc.response.FromString,
        )
        metadata = () if method.startswith("Auth/") else await self._metadata()
        return await call(request, timeout=seconds, metadata=metadata)

    def judge(self, error: AioRpcError) -> QuorateError | None:
        """Return what the server refused; else look elsewhere, with a new token if need be."""
        refusal = refusal_of(error)
        if LOGIN_ENDED in (error.details() or ""):
            # Tokens end, also with the server that gave them.
            self._token = ""
        elif refusal is None:
            self.leave()
        return refusal

    def _after(self, error: AioRpcError) -> None:
        """Raise what the server refused; AioRpcError when the history is gone."""
        if is_compacted(error):
            raise error
        refusal = self.judge(error)
        if refusal is not None:
            raise refusal from error

    async def _metadata(self) -> _Metadata:
        # A server that has lost its leader says so, instead of letting one wait.
        plain: _Metadata = (("hasleader", "true"),)
        if self._user is None:
            return plain
        if not self._token:
            name, password = self._user
            request = AuthenticateRequest(name=name, password=password)
            answer = await self._call("Auth/Authenticate", request, ATTEMPT_SECONDS)
            self._token = answer.token
        return (*plain, ("token", self._token))

    def _channel(self) -> Channel:
        address = self._addresses[self._current]
        channel = self._channels.get(address)
        if channel is None:
            if self._credentials is None:
                channel = insecure_channel(address, options=_OPTIONS)
            else:
                channel = secure_channel(address, self._credentials, options=_OPTIONS)
            self._channels[address] = channel
        return channel

    def _explain(self, method: str, error: AioRpcError) -> str:
        servers = ", ".join(self._addresses)
        return f"etcd {method} got no answer from {servers}: {error.details() or error.code().name}"


def _rpc(method: str) -> Rpc:
    return RPCS[f"/etcdserverpb.{method}"]


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _credentials(tls: TlsConfig) -> grpc.ChannelCredentials:
    try:
        return grpc.ssl_channel_credentials(
            root_certificates=Path(tls.authority).read_bytes(),
            private_key=Path(tls.key).read_bytes(),
            certificate_chain=Path(tls.certificate).read_bytes(),
        )
    except OSError as error:
        raise ConfigurationError(f"the TLS files cannot be read: {error}") from error

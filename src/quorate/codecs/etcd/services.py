"""Every call of etcd's API: what it takes and returns, and where it is reached.

Also the calls that gRPC defines for any server: health checks and reflection.
"""

from __future__ import annotations

from typing import Final

import msgspec
from google.protobuf.message import Message

from quorate.codecs.etcd.messages import FILES, MESSAGES
from quorate.codecs.etcd.schema import call_of


class Rpc(msgspec.Struct, frozen=True):
    """One call."""

    path: str
    """Its name for gRPC: "/etcdserverpb.KV/Range"."""
    request: type[Message]
    response: type[Message]
    streams_in: bool
    """Whether the client may send several requests."""
    streams_out: bool
    """Whether the server may send several responses."""
    http_paths: tuple[str, ...]
    """Where JSON may be posted to it: "/v3/kv/range"; none of the calls of gRPC itself has any."""

    @property
    def service(self) -> str:
        """The service's name: "etcdserverpb.KV"."""
        return self.path.split("/")[1]

    @property
    def method(self) -> str:
        """The name within the service: "Range"."""
        return self.path.split("/")[2]


def _rpcs() -> dict[str, Rpc]:
    rpcs = {}
    for file in FILES:
        for service, methods in file.services.items():
            for method, text in methods.items():
                call = call_of(text)
                path = f"/{file.package}.{service}/{method}"
                rpcs[path] = Rpc(
                    path,
                    MESSAGES[call.request],
                    MESSAGES[call.response],
                    call.streams_in,
                    call.streams_out,
                    call.http_paths,
                )
    return rpcs


RPCS: Final = _rpcs()
"""Every call by its path."""
RPCS_BY_HTTP_PATH: Final = {path: rpc for rpc in RPCS.values() for path in rpc.http_paths}
SERVICES: Final = tuple(dict.fromkeys(rpc.service for rpc in RPCS.values()))
"""The names of all services."""

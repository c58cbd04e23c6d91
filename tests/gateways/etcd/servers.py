"""Clients that ask two servers the same, and what is left of an answer that must be equal."""

from __future__ import annotations

from typing import Any, Final

import grpc
from google.protobuf.message import Message

from quorate.codecs.etcd.messages import MESSAGES
from quorate.codecs.etcd.services import RPCS, Rpc

from .requests import LEASES, shifted

PATIENCE: Final = 20.0
EVERYTHING: Final = b"\0"


class Asking:
    """One server, as a client of etcd's API sees it; revisions count from `base`."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self.base = 0

    def ask(self, rpc: Rpc, message: Any) -> Any:
        """Return the answer, or the code and the words of a refusal."""
        call = self._channel.unary_unary(
            rpc.path,
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        try:
            return call(message, timeout=PATIENCE)
        except grpc.RpcError as error:
            return _refusal(error)

    def compared(self, rpc: Rpc, message: Any) -> Any:
        """Ask with relative revisions; return what two servers must agree on."""
        answer = self.ask(rpc, shifted(message, self.base))
        return answer if isinstance(answer, tuple) else self._relative(answer)

    def empty(self) -> None:
        """Forget all keys and leases; from now on revisions count from here."""
        for lease in LEASES:
            request = MESSAGES["LeaseRevokeRequest"](ID=lease)
            self.ask(RPCS["/etcdserverpb.Lease/LeaseRevoke"], request)
        request = MESSAGES["DeleteRangeRequest"](key=EVERYTHING, range_end=EVERYTHING)
        answer = self.ask(RPCS["/etcdserverpb.KV/DeleteRange"], request)
        self.base = answer.header.revision

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _relative(self, message: Any) -> Any:
        answer = shifted(message, -self.base)
        _forget_who(answer)
        return answer


def _refusal(error: Any) -> tuple[Any, str]:
    """Return the code and the words; the stubs do not know that an error is a call too."""
    return error.code(), error.details()


def _forget_who(message: Message) -> None:
    """Leave out whose answer it is, what a clock says, and orders that mean nothing."""
    for field, value in message.ListFields():
        if field.name in ("cluster_id", "member_id", "raft_term"):
            message.ClearField(field.name)
        elif isinstance(value, Message):
            _forget_who(value)
        elif not isinstance(value, bytes | str | int | float):
            for each in value:
                if isinstance(each, Message):
                    _forget_who(each)
    name = message.DESCRIPTOR.name
    if name == "LeaseTimeToLiveResponse":
        kept: Any = message
        kept.TTL = min(kept.TTL, 0)
        kept.keys[:] = sorted(kept.keys)
    elif name == "LeaseLeasesResponse":
        listed: Any = message
        ordered = sorted(each.ID for each in listed.leases)
        del listed.leases[:]
        listed.leases.extend(MESSAGES["LeaseStatus"](ID=lease) for lease in ordered)

"""The face: `AsyncClient` and `Client`, equal in reach."""

from quorate.client.asynchronous import AsyncClient
from quorate.client.blocking import SyncClaim
from quorate.client.kv import AsyncKV
from quorate.client.synchronous import KV, Client

__all__ = ["KV", "AsyncClient", "AsyncKV", "Client", "SyncClaim"]

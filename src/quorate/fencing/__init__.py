"""Guards that refuse a stale fencing token at the resource that a lock protects.

A holder that slept through its lease wakes up, writes, and does harm, whatever the lock does:
only the resource can refuse it. `held.token` rises with every holder, so a resource refuses
whatever is lower than the highest token it has seen. The guard of SQLAlchemy is in
`quorate.fencing.sqlalchemy`, which needs it.
"""

from quorate.fencing.asgi import FencingMiddleware
from quorate.fencing.fence import Fence, Held, MemoryFence
from quorate.fencing.files import fenced_write
from quorate.fencing.headers import fencing_auth, fencing_client_middleware, fencing_headers
from quorate.fencing.sql import SqlFence
from quorate.fencing.stored import StoreFence

__all__ = [
    "Fence",
    "FencingMiddleware",
    "Held",
    "MemoryFence",
    "SqlFence",
    "StoreFence",
    "fenced_write",
    "fencing_auth",
    "fencing_client_middleware",
    "fencing_headers",
]

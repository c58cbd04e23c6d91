"""The contract of the Store port, as a pytest suite for any engine, also one of your own.

    class TestMyEngine(StoreContract):
        @asynccontextmanager
        async def open(self):
            store = MyStore(...)
            try:
                yield store
            finally:
                await store.close()

`open` may give a store that has been used before: each test keeps to keys of its own. What an
engine cannot do it says in its `Capabilities`, and the suite then asserts that it refuses with
`UnsupportedByEngine`: nothing is skipped.
"""

from quorate.testing.contract.commits import CommitContract
from quorate.testing.contract.keys import KeyContract
from quorate.testing.contract.leases import LeaseContract
from quorate.testing.contract.watches import WatchContract

__all__ = ["StoreContract"]


class StoreContract(KeyContract, CommitContract, LeaseContract, WatchContract):
    """Everything that a store promises."""

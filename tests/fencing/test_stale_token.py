"""The refusal says what happened, to what, and what to do."""

from __future__ import annotations

import pickle

from quorate import LockError, StaleToken


def test_it_names_the_resource_and_both_tokens_and_tells_to_stop() -> None:
    error = StaleToken("ledger", 6, 9)
    assert isinstance(error, LockError)
    assert (error.resource, error.token, error.highest) == ("ledger", 6, 9)
    for part in ("'ledger'", "6", "9", "stop"):
        assert part in str(error)


def test_it_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(StaleToken("ledger", 6, 9)))
    assert (error.resource, error.token, error.highest) == ("ledger", 6, 9)

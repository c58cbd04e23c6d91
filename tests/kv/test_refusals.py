"""Refusals as errors, and back."""

from __future__ import annotations

import pytest

from quorate.errors import Compacted, ConnectionLost, LeaseNotFound, LogDamaged, OutcomeUnknown
from quorate.kv.commands import Refusal, RefusalCode
from quorate.kv.refusals import error_of, refusal_of


@pytest.mark.parametrize("code", list(RefusalCode))
def test_every_refusal_is_an_error_and_comes_back(code: RefusalCode) -> None:
    refusal = Refusal(code, "what happened", 7 if code is RefusalCode.COMPACTED else 0)
    error = error_of(refusal)
    assert str(error) == "what happened"
    back = refusal_of(error)
    if code is RefusalCode.SESSION_EXPIRED:
        assert isinstance(error, OutcomeUnknown)
        assert back.code is RefusalCode.OUTCOME_UNKNOWN
    else:
        assert back == refusal


def test_details_survive() -> None:
    error = error_of(Refusal(RefusalCode.COMPACTED, "gone", 12))
    assert isinstance(error, Compacted)
    assert error.compact_revision == 12
    assert refusal_of(LeaseNotFound("x")).code is RefusalCode.LEASE_NOT_FOUND
    for other in (ConnectionLost("x"), LogDamaged("y")):
        assert refusal_of(other).code is RefusalCode.INVALID_REQUEST

"""The words that etcd's clients match on."""

from __future__ import annotations

import pytest

from quorate.codecs.etcd import failures
from quorate.codecs.etcd.failures import FAILURES, Failure

from .definitions import program_bytes

LATER = {
    failures.INVALID_CLIENT_API_VERSION,
    failures.INVALID_SORT_OPTION,
    failures.CLUSTER_ID_MISMATCH,
    failures.AUTH_OLD_REVISION,
    failures.TIMEOUT_WAIT_APPLIED_INDEX,
}
"""What came with later servers than the one that the tests have."""


def test_every_error_of_etcds_list_is_here() -> None:
    assert sum(text.startswith("etcdserver: ") for text in FAILURES) == 63


@pytest.mark.parametrize("failure", FAILURES.values(), ids=lambda each: str(each.text))
def test_the_server_has_these_words(failure: Failure) -> None:
    assert (failure.text.encode() in program_bytes()) is (failure not in LATER)


def test_an_error_is_found_by_its_words() -> None:
    found = FAILURES["etcdserver: mvcc: required revision has been compacted"]
    assert found is failures.COMPACTED
    assert found.code == 11


def test_no_two_errors_have_the_same_words() -> None:
    named = [each for each in vars(failures).values() if isinstance(each, Failure)]
    assert len(named) == len(FAILURES)

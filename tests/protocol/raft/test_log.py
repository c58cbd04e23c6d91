"""The log in memory: what it keeps, and what it cuts off."""

from __future__ import annotations

import pytest

from quorate.protocol.raft import Entry, EntryKind
from quorate.protocol.raft.log import Log


def log(*sizes: int, base: int = 10) -> Log:
    entries = [
        Entry(3, base + place, EntryKind.NORMAL, bytes(size)) for place, size in enumerate(sizes, 1)
    ]
    return Log(base, 2, entries)


@pytest.mark.parametrize(
    ("bytes_max", "start"), [(0, 14), (29, 14), (30, 13), (50, 12), (59, 12), (60, 11), (900, 11)]
)
def test_the_tail_that_fits_is_found_from_its_end(bytes_max: int, start: int) -> None:
    assert log(10, 20, 30).tail_of(13, bytes_max) == start


def test_the_tail_of_what_is_not_there_is_that_of_the_last_entry() -> None:
    assert log(10, 20, 30).tail_of(99, 30) == 13
    assert log().tail_of(99, 30) == 11


def test_the_size_follows_every_cut() -> None:
    kept = log(10, 20, 30)
    kept.compact(11)
    assert (kept.base_index, kept.base_term, kept.size_bytes) == (11, 3, 50)
    kept.truncate_from(13)
    assert (kept.last_index, kept.size_bytes) == (12, 20)


def test_a_term_is_known_from_the_base_to_the_end() -> None:
    kept = log(1)
    assert [kept.term(index) for index in (9, 10, 11, 12)] == [None, 2, 3, None]

"""Damage is refused, a tear is cut, and wrong data is never given back.

The log under test is small, so that every truncation length and every single bit is tried.
"""

from __future__ import annotations

from typing import NamedTuple

import google_crc32c
import pytest

from quorate.errors import ConfigurationError, LogDamaged
from quorate.protocol.raft.messages import Entry, HardState
from quorate.runtime.wal import GroupWrite, RecoveredGroup, Wal, records
from quorate.runtime.wal.records import RecordKind
from quorate.simulation.disk import VirtualFiles

from .wal_cases import DIRECTORY, entries, entry, open_wal, segments

BATCHES = 11
SEGMENT = 512


class Place(NamedTuple):
    """Where a batch stands: from the end of the record before it to its last byte."""

    path: str
    start: int
    end: int


def written(
    batches: int = BATCHES, segment_bytes: int = SEGMENT
) -> tuple[VirtualFiles, list[Place]]:
    """A log of so many batches, and where each of them stands.

    A batch that opens a segment starts at 0, since its segment's opening belongs to it.
    """
    files = VirtualFiles()
    wal, _ = open_wal(files, segment_bytes)
    places: list[Place] = []
    for index in range(1, batches + 1):
        wal.append([GroupWrite(1, HardState(index), [entry(index, data=b"%d" % index * 40)])])
        path = segments(files)[-1]
        aligned = -(-places[-1].end // 8) * 8 if places and places[-1].path == path else 0
        places.append(Place(path, aligned, used(files, path)))
    wal.close()
    return files, places


def used(files: VirtualFiles, path: str) -> int:
    """Where the zeros begin that no record was written over yet."""
    return len(files.content(path).rstrip(b"\0"))


def expected(batches: int) -> dict[int, RecoveredGroup]:
    """What a log of the first so many batches holds."""
    if not batches:
        return {}
    held = [entry(index, data=b"%d" % index * 40) for index in range(1, batches + 1)]
    return {1: RecoveredGroup(HardState(batches), held, (0, 0))}


def refused(files: VirtualFiles) -> str | None:
    """The error with which the log refuses to open, or None when it opens."""
    try:
        open_wal(files, SEGMENT)
    except LogDamaged as error:
        return str(error)
    return None


def test_the_log_under_test_has_several_segments() -> None:
    files, _ = written()
    assert len(segments(files)) == 3


def test_every_cut_of_the_last_segment_recovers_each_batch_that_is_still_whole() -> None:
    """A cut that takes whole batches away cannot be told from a log that ended earlier."""
    files, places = written()
    last = segments(files)[-1]
    in_last = [place.end for place in places if place.path == last]
    before = BATCHES - len(in_last)
    assert len(in_last) > 1
    for size in range(SEGMENT):
        torn = files.copy()
        torn.cut(last, size)
        wal, groups = open_wal(torn, SEGMENT)
        # The rest of a record is padded with zeros, which a cut may take without harm.
        whole = before + sum(end <= size for end in in_last)
        assert groups == expected(whole)
        assert wal.last_batch == whole

        following = entry(whole + 1, data=b"new" * 30)
        wal.append([GroupWrite(1, HardState(50), [following])])
        _, again = open_wal(torn.crash(lambda: False), SEGMENT)
        assert again[1].entries == [*(expected(whole)[1].entries if whole else []), following]


def test_every_flipped_bit_is_refused_or_costs_the_last_batch_or_is_harmless() -> None:
    files, places = written()
    last = places[-1]
    outcomes = set()
    for path in segments(files):
        for bit in range(SEGMENT * 8):
            rotten = files.copy()
            rotten.flip(path, bit)
            if (error := refused(rotten)) is not None:
                assert DIRECTORY in error
                outcomes.add("refused")
                continue
            _, groups = open_wal(rotten, SEGMENT)
            if groups == expected(BATCHES):
                # Only the zeros behind the records, or those that pad one, are passed over.
                assert files.content(path)[bit // 8] == 0
                outcomes.add("harmless")
            else:
                assert groups == expected(BATCHES - 1)
                assert path == last.path
                assert last.start <= bit // 8 < last.end
                outcomes.add("cut")
    assert outcomes == {"refused", "harmless", "cut"}


def test_damage_names_the_file_the_offset_and_the_way_out() -> None:
    files, places = written()
    second = places[1]
    files.flip(second.path, (second.start + 60) * 8)
    error = refused(files)
    assert error is not None
    assert error.startswith(f"{second.path}, offset {second.start}: batch 2 is damaged or missing")
    assert "remove it from the cluster and add it anew" in error
    assert "quorate recover" in error


def test_a_damaged_log_is_left_as_it_was_found() -> None:
    files, places = written()
    files.flip(places[3].path, places[3].end * 8 - 1)
    before = {path: files.content(path) for path in files.paths()}
    assert refused(files) is not None
    assert {path: files.content(path) for path in files.paths()} == before


def test_a_zeroed_record_before_the_last_batch_is_damage() -> None:
    files, (_, second, third) = written(3, 4096)
    files.open(second.path).write(second.start, bytes(third.start - second.start))
    assert "batch 2 is damaged or missing" in (refused(files) or "")


def test_a_record_with_an_older_one_in_its_place_is_damage() -> None:
    files, (_, second, third, fourth) = written(4, 4096)
    file = files.open(second.path)
    file.write(third.start, file.read(second.start, third.start - second.start))
    assert fourth.start - third.start == third.start - second.start
    assert "batch 3 is damaged or missing" in (refused(files) or "")


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_segment_is_damage(missing: int) -> None:
    files, _ = written()
    path = segments(files)[missing]
    files.remove(path)
    error = refused(files)
    assert error is not None
    assert "missing" in error


def test_all_segments_missing_is_damage_while_the_reserve_is_there() -> None:
    files, _ = written()
    for path in segments(files):
        files.remove(path)
    assert "all segments are missing" in (refused(files) or "")


def test_a_segment_of_another_log_is_damage() -> None:
    files, _ = written()
    other = VirtualFiles()
    wal, _ = Wal.open(other, DIRECTORY, segment_bytes=SEGMENT, salt=78)
    for index in range(1, BATCHES + 1):
        wal.append([GroupWrite(1, HardState(index), [entry(index, data=b"%d" % index * 40)])])
    path = segments(files)[1]
    file = files.open(path)
    file.write(0, other.content(path))
    assert "another log" in (refused(files) or "")


def test_two_segments_that_changed_places_are_damage() -> None:
    files, _ = written()
    first, second, _ = segments(files)
    one, two = files.content(first), files.content(second)
    files.open(first).write(0, two)
    files.open(second).write(0, one)
    assert refused(files) is not None


def test_a_record_that_does_not_follow_the_one_before_it_is_damage() -> None:
    files, (_, second, third) = written(3, 4096)
    end = -(-third.end // 8) * 8
    unchained, _ = records.encode_record(RecordKind.BATCH, 4, b"\x90", 12345, 77)
    files.open(third.path).write(end, unchained)
    assert "does not follow" in (refused(files) or "")
    assert second.path == third.path


def test_a_segment_that_does_not_continue_the_one_before_it_is_damage() -> None:
    files, _ = written()
    _, path, _ = segments(files)
    files.open(path).write(0, records.encode_preamble(77, 2, 12345))
    assert "does not continue" in (refused(files) or "")


def test_a_log_of_a_later_format_names_both_formats() -> None:
    files, _ = written()
    path = segments(files)[0]
    preamble = bytearray(files.content(path)[: records.PREAMBLE_BYTES])
    preamble[8] = 9
    crc = google_crc32c.value(bytes(preamble[:-4]))
    preamble[-4:] = crc.to_bytes(4, "little")
    files.open(path).write(0, bytes(preamble))
    with pytest.raises(ConfigurationError, match="format 9, this release reads up to 1"):
        open_wal(files, SEGMENT)


def test_a_torn_batch_goes_as_a_whole() -> None:
    """Half of a batch of two groups must not come back, though that half arrived."""
    files = VirtualFiles()
    wal, _ = open_wal(files, 8192)
    wal.append([GroupWrite(1, entries=entries(1, 2)), GroupWrite(2, entries=entries(1, 2))])
    start = used(files, segments(files)[0])
    batch = [GroupWrite(1, entries=[entry(3)]), GroupWrite(2, entries=[entry(3, data=b"x" * 2000)])]
    wal.append(batch)
    end = used(files, segments(files)[0])
    for position in range(start, end):
        torn = files.copy()
        torn.open(segments(torn)[0]).write(position, bytes(end - position))
        _, groups = open_wal(torn, 8192)
        assert groups[1].entries == entries(1, 2)
        assert groups[2].entries == entries(1, 2)


def test_what_a_torn_batch_left_behind_never_comes_back() -> None:
    """Sectors of the torn batch that did arrive are zeroed before the log goes on."""
    files = VirtualFiles()
    wal, _ = open_wal(files, 8192)
    wal.append([GroupWrite(1, entries=entries(1, 2))])
    start = used(files, segments(files)[0])
    wal.append([GroupWrite(1, entries=[entry(3, data=b"stale" * 600)])])
    files.open(segments(files)[0]).write(start, bytes(512))
    open_wal(files, 8192)
    assert b"stale" not in files.crash(lambda: False).content(segments(files)[0])


def test_a_stored_value_that_looks_like_a_later_record_does_not_stop_a_torn_log() -> None:
    """A client that knows the format still does not know the salt."""
    forged, _ = records.encode_record(RecordKind.BATCH, 999, b"forged", 0, 0)
    value = b"".join(bytes(pad) + forged for pad in range(8))
    files = VirtualFiles()
    wal, _ = open_wal(files, 8192)
    wal.append([GroupWrite(1, entries=entries(1, 2))])
    start = used(files, segments(files)[0])
    wal.append([GroupWrite(1, entries=[entry(3, data=value)])])
    files.flip(segments(files)[0], (start + 20) * 8)
    _, groups = open_wal(files, 8192)
    assert groups[1].entries == entries(1, 2)


def test_a_header_of_a_later_batch_is_enough_to_know_damage_from_a_tear() -> None:
    """The last batch is torn and the one before it rots: the rot must not pass for the tear."""
    files, (_, second, third) = written(3, 4096)
    body = third.start + records.HEADER_BYTES
    files.open(third.path).write(body, bytes(third.end - body))
    files.flip(second.path, (second.end - 3) * 8)
    assert "batch 2 is damaged" in (refused(files) or "")


def test_a_torn_rollover_goes_on_in_the_segment_before() -> None:
    files, places = written()
    last = segments(files)[-1]
    batches = sum(place.path != last for place in places)
    files.open(last).write(40, bytes(SEGMENT - 40))
    wal, groups = open_wal(files, SEGMENT)
    assert groups == expected(batches)
    assert wal.segment_count == 2
    assert wal.prepared
    assert files.crash(lambda: False).content(last) == bytes(SEGMENT)
    following = entry(batches + 1, data=b"n" * 300)
    wal.append([GroupWrite(1, entries=[following])])
    assert wal.segment_count == 3
    _, again = open_wal(files.crash(lambda: False), SEGMENT)
    assert again[1].entries == [*expected(batches)[1].entries, following]


def test_entries_missing_with_the_oldest_segment_are_named() -> None:
    files, _ = written()
    files.remove(segments(files)[0])
    error = refused(files)
    assert error is not None
    assert "entries 1 to" in error
    assert "of group 1 are missing" in error


def test_the_encoded_entry_is_the_entry() -> None:
    batch = [GroupWrite(3, HardState(1, 2, 3), (Entry(1, 1, 0, b"\0\xff"),), 1, (4, 5))]  # type: ignore[arg-type]  # a bare kind
    (decoded,) = records.decode_batch(records.encode_batch(batch))
    assert (decoded.group, decoded.truncate_from, decoded.snapshot) == (3, 1, (4, 5))
    assert decoded.hard_state == HardState(1, 2, 3)
    assert list(decoded.entries) == [entry(1, data=b"\0\xff")]

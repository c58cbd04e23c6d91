"""The careful reader of JSON: where a value ends, and Go's words where none is."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.codecs.etcd.go_json import (
    DEPTH_MAX,
    Unfinished,
    check_one_value,
    next_value,
    quoted,
    values,
)
from quorate.errors import InvalidRequest

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
spaces = st.text(" \t\r\n").map(str.encode)


@given(
    st.lists(st.tuples(documents.filter(lambda each: not isinstance(each, int | float)), spaces))
)
def test_values_one_after_the_other_are_told_apart(written: list[tuple[object, bytes]]) -> None:
    texts = [json.dumps(document).encode() for document, _ in written]
    body = b"".join(text + space for text, (_, space) in zip(texts, written, strict=True))
    assert list(values(body)) == texts


@given(
    st.binary()
    | st.text(r'{}[]",:\u0123tfn.-+eE ').map(str.encode)
    | documents.map(json.dumps).map(str.encode)
)
def test_what_is_json_is_what_others_take_for_json(body: bytes) -> None:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError:
        with pytest.raises(InvalidRequest):
            check_one_value(body)
    else:
        check_one_value(body)


@given(documents.map(json.dumps).map(str.encode), st.data())
def test_a_value_cut_short_is_unfinished_and_not_wrong(text: bytes, data: st.DataObject) -> None:
    text = b"[" + text + b"]"
    cut = data.draw(st.integers(1, len(text) - 1))
    with pytest.raises(Unfinished, match=r"^unexpected EOF$"):
        next_value(text[:cut])
    with pytest.raises(InvalidRequest):
        check_one_value(text[:cut])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[1", "unexpected end of JSON input"),
        (b'"a', "unexpected end of JSON input"),
        (b"-", "invalid character ' ' in numeric literal"),
        (b"1.", "invalid character ' ' after decimal point in numeric literal"),
        (b"tru", "invalid character ' ' in literal true (expecting 'e')"),
        (b'"\\u12', "invalid character ' ' in \\u hexadecimal character escape"),
    ],
)
def test_the_end_is_a_space_to_what_it_cuts_short(text: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_one_value(text)
    assert str(caught.value) == words


def test_where_there_is_only_space_there_is_no_value() -> None:
    assert next_value(b"") is None
    assert next_value(b" \n") is None
    assert next_value(b"1 ", 1) is None
    with pytest.raises(InvalidRequest, match=r"^unexpected end of JSON input$"):
        check_one_value(b" ")


def test_what_follows_a_value_is_looked_at_only_where_it_must_be_alone() -> None:
    assert next_value(b' {"a":1}x') == (1, 8)
    with pytest.raises(InvalidRequest, match=r"^invalid character 'x' after top-level value$"):
        check_one_value(b'{"a":1} x')


def test_values_before_a_wrong_one_are_given() -> None:
    found = values(b'{"a":1} 2 x')
    assert [next(found), next(found)] == [b'{"a":1}', b"2"]
    with pytest.raises(InvalidRequest, match="looking for beginning of value"):
        next(found)


def test_no_nesting_breaks_the_reader() -> None:
    deep = b"[" * DEPTH_MAX + b"]" * DEPTH_MAX
    assert next_value(deep) == (0, len(deep))
    with pytest.raises(InvalidRequest, match=r"^exceeded max depth$"):
        next_value(b"[" + deep + b"]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"a"', r'"\"a\""'),
        ("a\\b", r'"a\\b"'),
        ("é\u00a0", r'"é\u00a0"'),
        ("\n\x01\x7f", r'"\n\x01\u007f"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("it's", '"it\'s"'),
    ],
)
def test_a_text_is_shown_as_go_shows_it(text: str, shown: str) -> None:
    assert quoted(text) == shown

"""Decoding never fails, and what it gives can be stored."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.steps.decoding import clean, decode


@given(st.binary())
def test_any_bytes_decode_to_text_that_postgresql_can_hold(data):
    text, _ = decode(data)
    text.encode("utf-8")  # no surrogate is left
    assert "\x00" not in text
    assert "\r" not in text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\ufeff")))
def test_utf8_with_or_without_a_mark_comes_back_unchanged_and_without_notes(text):
    assert decode(text.encode()) == (text, ())
    assert decode(codecs.BOM_UTF8 + text.encode()) == (text, ())


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_are_known_by_their_mark(encoding):
    text = "Miete: 900 €\nflat 𝄞"
    assert decode(("\ufeff" + text).encode(encoding)) == (text, (f"decoded as {encoding}",))


def test_what_is_not_utf8_is_cp1252_and_says_so():
    assert decode("Größe “quoted” – 5 €".encode("cp1252")) == (
        "Größe “quoted” – 5 €",
        ("decoded as cp1252: not valid UTF-8",),
    )


def test_the_bytes_that_cp1252_does_not_define_are_latin_1():
    assert decode(b"a\x81\x8d\x8f\x90\x9d\xff")[0] == "a\x81\x8d\x8f\x90\x9dÿ"


def test_nuls_are_removed_with_a_note():
    assert decode(b"one\x00two\x00") == ("onetwo", ("removed 2 NUL characters",))


def test_utf16_without_a_mark_loses_its_nuls_and_can_be_read():
    assert decode("lease".encode("utf-16-le"))[0] == "lease"


def test_surrogates_encoded_in_utf8_are_joined_in_pairs_and_replaced_alone():
    text, notes = decode("pair \ud834\udd1e, alone \ud834.".encode("utf-8", "surrogatepass"))
    assert text == "pair 𝄞, alone \ufffd."
    assert notes == ("replaced surrogates encoded in UTF-8",)


def test_a_broken_utf16_text_is_kept_with_its_broken_characters_replaced():
    text, notes = decode(codecs.BOM_UTF16_LE + "ok".encode("utf-16-le") + b"\x34\xd8" + b"!\x00" + b"x")
    assert text.startswith("ok\ufffd")
    assert notes[1] == "replaced byte sequences that are not valid in it"


def test_every_kind_of_line_end_counts_as_one_line():
    assert decode(b"a\r\nb\rc\n\r\nd")[0] == "a\nb\nc\n\nd"


def test_cleaning_leaves_clean_text_alone():
    assert clean("漢字 ok") == "漢字 ok"
    assert clean("a\x00\udc80b") == "a\ufffdb"

"""Item paths and roots: one spelling each, whatever bytes a name has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.errors import UsageError
from leasehold.sources.paths import canonical_root, decode_path, encode_name, encode_path, source_uri

NAMES = st.one_of(st.binary(max_size=30), st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")))


@given(NAMES)
def test_every_byte_string_comes_back_from_its_item_path(raw: bytes) -> None:
    assert decode_path(encode_path(raw)) == raw


@given(NAMES)
def test_an_item_path_is_one_line_of_text_that_postgresql_takes(raw: bytes) -> None:
    path = encode_path(raw)
    path.encode("utf-8")
    assert "\0" not in path
    assert len(path.splitlines()) <= 1


@given(NAMES, NAMES)
def test_two_names_never_share_an_item_path(one: bytes, other: bytes) -> None:
    assert (encode_path(one) == encode_path(other)) == (one == other)


@given(NAMES, NAMES)
def test_what_is_below_a_directory_is_below_it_in_item_paths_too(directory: bytes, name: bytes) -> None:
    assert encode_path(directory + b"/" + name) == f"{encode_path(directory)}/{encode_path(name)}"


@given(NAMES)
def test_a_name_as_the_listing_gives_it_has_the_same_item_path(raw: bytes) -> None:
    assert encode_name(os.fsdecode(raw)) == encode_path(raw)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"notes/a b.md", "notes/a b.md"),
        ("Überblick 手紙 👩‍🚀.md".encode(), "Überblick 手紙 👩‍🚀.md"),
        (b"100%.txt", "100%25.txt"),
        (b"two\nlines", "two%0Alines"),
        (b"latin \xfc", "latin %FC"),
        (b"\xed\xa0\x80", "%ED%A0%80"),
        ("cod\u202efdp.exe".encode(), "cod%E2%80%AEfdp.exe"),
        (b"back\\slash", "back\\slash"),
    ],
)
def test_printable_text_is_kept_and_the_rest_is_percent_encoded(raw: bytes, path: str) -> None:
    assert encode_path(raw) == path


@pytest.mark.parametrize("path", ["100%", "%zz", "a%2", "lone \ud800"])
def test_text_that_is_no_item_path_is_refused_with_the_remedy(path: str) -> None:
    with pytest.raises(UsageError, match="Copy it from a listing"):
        decode_path(path)


def test_all_spellings_of_a_root_are_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, absolute, with a trailing slash, with dots, through a link: one root, one URI."""
    root = tmp_path / "Überblick 100%"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    spellings = [root, Path(root.name), Path(f"{root}/"), Path("./link"), tmp_path / "link" / ".." / root.name]

    assert {canonical_root(spelling) for spelling in spellings} == {root.resolve()}
    assert {source_uri(spelling) for spelling in spellings} == {root.resolve().as_uri()}
    assert source_uri(root).startswith("file:///")


def test_a_root_that_is_not_there_is_named_but_still_has_a_uri(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        canonical_root(tmp_path / "nowhere")
    assert source_uri(tmp_path / "nowhere").endswith("/nowhere")


def test_a_root_that_is_neither_folder_nor_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("fifo", "loop"):
        with pytest.raises(UsageError, match=name):
            canonical_root(tmp_path / name)


def test_a_root_whose_name_is_no_utf8_has_a_uri(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"latin \xfc")
    root.mkdir()
    assert source_uri(canonical_root(root)).endswith("/latin%20%FC")

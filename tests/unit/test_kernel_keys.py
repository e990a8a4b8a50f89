"""Keys: one name for one resource, however its place is written."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.errors import UsageError
from leasehold.kernel.keys import canonical


def test_every_spelling_of_a_folder_is_one_key(tmp_path, monkeypatch):
    """Relative, absolute, by a link, with slashes at the end, with dots, as a URL, and with the store's own folder."""
    real = tmp_path / "data" / "kb"
    real.mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "data")
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings = [
        str(real), f"{real}/", f"{real}//", "kb", "./kb", "kb/", "../data/kb", "up/data/kb", str(tmp_path / "link"),
        "../link/", "~/data/kb", "~/link", f"{real}/leasehold.lancedb", "kb/leasehold.lancedb/",
        f"file://{real}", f"file://localhost{real}/", f"FILE://{real}", f"{real}/../kb/.",
    ]  # fmt: skip
    assert {canonical(f"rag:{one}") for one in spellings} == {f"rag:{real}"}


def test_a_place_that_is_not_there_yet_has_its_key_already(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert canonical("rag:new/kb") == canonical(f"rag:{tmp_path}/new/kb/leasehold.lancedb")


def test_every_spelling_of_an_object_store_is_one_key():
    spellings = [
        "s3://bucket/kb/one", "s3://bucket/kb/one/", "s3://bucket//kb//one", "S3://Bucket/kb/one", "s3a://bucket/kb/one",
        "s3n://bucket/kb/one/", "s3://bucket/kb/one/leasehold.lancedb", "s3://id:secret@bucket/kb/one/leasehold.lancedb/",
    ]  # fmt: skip
    assert {canonical(f"rag:{one}") for one in spellings} == {"rag:s3://bucket/kb/one"}
    assert canonical("rag:s3://bucket/") == canonical("rag:s3://bucket") == "rag:s3://bucket"


def test_different_places_keep_different_keys(tmp_path):
    places = [
        "s3://bucket/kb",
        "s3://bucket/KB",
        "s3://other/kb",
        "gs://bucket/kb",
        f"{tmp_path}/kb",
        f"{tmp_path}/kb2",
    ]
    assert len({canonical(f"rag:{one}") for one in places}) == len(places)


def test_names_that_are_no_places_are_taken_as_they_stand():
    for key in ("kind:embed", "model:text-embedding-3-small", "backup:nightly/", "index:Böhm ünd Söhne"):
        assert canonical(key) == key


def test_an_escaped_file_url_names_the_file(tmp_path):
    assert canonical(f"rag:file://{tmp_path}/two%20words") == f"rag:{os.path.realpath(tmp_path)}/two words"


@pytest.mark.parametrize(
    "key",
    ["", "rag", "rag:", ":x", "Rag:x", "9x:y", "a b:c", "kind:a\nb", "rag:a\x00b", "rag:\x1b[2J", "x:" + "é" * 600,
     "rag:s3://", "rag:s3:///kb", "rag:s3://b/../c", "rag:s3://b/kb?x=1", "rag:file://far.example/kb"],
)  # fmt: skip
def test_what_is_no_key_is_refused_with_an_example(key):
    with pytest.raises(UsageError) as caught:
        canonical(key)
    assert caught.value.remedy


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_a_canonical_key_is_its_own(name):
    for key in (f"rag:/{name}", f"rag:s3://bucket/{name}", f"word:{name}"):
        try:
            once = canonical(key)
        except UsageError:
            continue
        assert canonical(once) == once

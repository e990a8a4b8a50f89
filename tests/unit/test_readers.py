"""Who reads what: the table of readers, plug-ins, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from leasehold.cli.readers import readers as command
from leasehold.documents.recipes import Parameters, pipeline, pipelines, recipes, unread
from leasehold.options import ChunkOptions
from leasehold.steps import readers
from leasehold.steps.detection import detect
from leasehold.steps.reading import read, reader_version
from leasehold.types import Block, Member, Parsed, StepError

PDF = "application/pdf"
PARAMETERS = Parameters(chunk=ChunkOptions())


class Shout:
    """A reader as a stranger would write it."""

    name, version, media_types, extensions = "shout", 3, ("text/x-shout",), {".SHOUT": "text/x-shout"}

    def read(self, data: bytes, media_type: str, name: str) -> Parsed:
        if data.startswith(b"\xff"):
            raise KeyError("not thought of")
        return Parsed((Block(data.decode().upper() + "\x00\ud800", 1, (), (("time", "00:01"),)),))


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is appended is an installed plug-in."""
    points: list[Any] = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    _forget()
    yield points
    _forget()


def _forget() -> None:
    for cached in (readers.known, readers._by_type, readers.extensions, readers._inside, pipeline, recipes):
        cached.cache_clear()


def point(load: Any, name: str = "shout") -> Any:
    return SimpleNamespace(name=name, value=f"pkg:{name}", load=load, dist=SimpleNamespace(name="pkg", version="1.0"))


def listed() -> dict[str, dict[str, Any]]:
    found = json.loads(CliRunner().invoke(command, ["--json"], standalone_mode=False).output)
    return {one["name"]: one for one in found["readers"]}


def test_every_built_in_reader_is_ready_here_and_each_type_has_one_reader(plugged):
    types = [media_type for one in readers.BUILT_IN for media_type in one.media_types]
    assert len(types) == len(set(types))
    for one in readers.known():
        assert not one.missing
        assert one.reader.version >= 1
        assert isinstance(one.reader, readers.Reader)


def test_a_plug_in_reads_its_types_before_ours_and_its_version_is_in_the_recipe(plugged):
    plugged.append(point(lambda: Shout))
    assert "no reader object" in listed()["shout"]["broken"]
    _forget()
    plugged[0].load = Shout
    assert listed()["shout"]["source"] == "pkg 1.0"
    assert reader_version("text/x-shout") == "shout/3"
    assert detect("a.shout", b"hello") == "text/x-shout"
    (block,) = read(b"hello", media_type="text/x-shout", name="a.shout").blocks
    assert (block.text, block.place) == ("HELLO\ufffd", (("time", "00:01"),))
    _forget()
    Shout.media_types = ("text/x-shout", "text/markdown")
    try:
        assert reader_version("text/markdown") == "shout/3"
    finally:
        Shout.media_types = ("text/x-shout",)


def test_a_plug_in_that_cannot_be_loaded_is_named_and_stops_an_ingest_with_what_to_do(plugged):
    def load() -> Any:
        raise ImportError("no module named torch")

    plugged.append(point(load))
    result = CliRunner().invoke(command, [], standalone_mode=False)
    assert result.return_value == 1
    assert "BROKEN, from pkg 1.0: ImportError: no module named torch" in result.output
    with pytest.raises(readers.ReaderUnusable) as refused:
        pipeline("text/plain", PARAMETERS)
    assert "leasehold readers" in refused.value.remedy


def test_a_reader_with_a_defect_gives_the_file_a_verdict_and_no_trace(plugged):
    plugged.append(point(Shout))
    with pytest.raises(StepError) as refused:
        read(b"\xff", media_type="text/x-shout", name="a.shout")
    assert refused.value.reason == "reader failed"
    assert "shout: KeyError" in refused.value.detail


@pytest.mark.parametrize("where", ["between", "inside"])
def test_a_defect_in_handing_out_members_is_noted_and_keeps_what_came_before(plugged, where):
    class Box:
        name, version, media_types = "box", 1, ("application/x-box",)

        def read(self, data: bytes, media_type: str, name: str) -> Parsed:
            def members() -> Iterator[Member]:
                yield Member("a.txt", (("member", "a.txt"),), lambda limit: data)
                if where == "between":
                    raise IndexError("not thought of")
                yield Member("b.txt", (("member", "b.txt"),), lambda limit: data[limit + 10**9].to_bytes())

            return Parsed((), members=members())

    plugged.append(point(Box, "box"))
    parsed = read(b"words", media_type="application/x-box", name="x.box")
    assert [block.text for block in parsed.blocks] == ["words"]
    assert len(parsed.notes) == 1
    assert "reader failed: box: IndexError" in parsed.notes[0]


def test_a_reader_whose_package_is_missing_says_what_to_install_and_its_files_wait_for_that(plugged, monkeypatch):
    """Skipped for want of a package is current only where it still wants it; what is stored stays current anyway."""
    with_package, wanting = pipelines([PDF], PARAMETERS), unread(PDF)
    assert wanting not in with_package
    monkeypatch.setattr(readers, "_importable", lambda module: False)
    assert listed()["pdf"]["ready"] is False
    assert listed()["pdf"]["remedy"] == "pip install 'leasehold[docs]'"
    assert not readers.readable(PDF)
    assert set(pipelines([PDF], PARAMETERS)) == {*with_package, wanting}
    with pytest.raises(StepError) as refused:
        read(b"%PDF-", media_type=PDF, name="a.pdf")
    assert (refused.value.reason, refused.value.remedy) == (
        "reader not installed",
        "pip install 'leasehold[docs]'",
    )


def test_members_are_read_by_their_own_readers_and_what_is_not_read_is_noted(plugged):
    """Method: a plug-in that is a container, with a text, a picture, a damaged file and a container inside."""

    class Box:
        name, version, media_types, extensions = "box", 1, ("application/x-box",), {"box": "application/x-box"}

        def read(self, data: bytes, media_type: str, name: str) -> Parsed:
            files = json.loads(data)
            members = (
                Member(one, (("member", one),), lambda limit, one=one: files[one].encode("latin-1")) for one in files
            )
            return Parsed((), members=members)

    plugged.append(point(Box, "box"))
    inner = json.dumps({"deep.md": "# Title\n\ndeep words"})
    outer = {"../a.txt": "first", "b.png": "\x89PNG\r\n\x1a\n", "c.json": "{", "d.box": inner, "e.txt": ""}
    parsed = read(json.dumps(outer).encode(), media_type="application/x-box", name="x.box")
    assert [(block.text, block.place, block.heading) for block in parsed.blocks] == [
        ("first", (("member", "../a.txt"),), ()),
        ("# Title\n\ndeep words", (("member", "d.box!deep.md"),), ("Title",)),
    ]
    assert [note.partition(": ")[2][:6] for note in parsed.notes] == ["c.json", "b.png:"]
    alone = json.dumps({"c.json": "{"}).encode()
    with pytest.raises(StepError) as refused:
        read(alone, media_type="application/x-box", name="x.box")
    assert refused.value.reason == "damaged"
    assert refused.value.detail.startswith("c.json: ")

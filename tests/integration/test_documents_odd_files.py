"""What becomes of odd files: stored, skipped with the reason, or failed with a remedy; nothing is in none of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents_by_hand import Library

import made_files
from leasehold.documents.reports import troubles
from leasehold.sources import folder

pytestmark = pytest.mark.one_server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


@pytest.fixture
def library(database: str, tmp_path: Path) -> Iterator[Library]:
    made = Library(database, tmp_path / "folder")
    made.folder.mkdir()
    yield made
    made.session.close()


def remedies(library: Library) -> dict[str, str]:
    return {one.path: one.remedy for one in troubles(library.session, states=["failed"])}


# -- stored -----------------------------------------------------------------------------------------------------------


def test_every_text_encoding_that_decodes_is_stored_and_found(library: Library) -> None:
    library.write("latin.txt", "crème brûlée übergross".encode("latin-1"))
    library.write("utf16.txt", "Größe zebra".encode("utf-16"))
    library.write("utf8-mark.txt", b"\xef\xbb\xbfmarked walrus")
    library.write("nul.txt", b"giraffe\x00 with a NUL " * 40)
    library.write("surrogate.json", b'{"animal": "\\ud800 okapi \\u0000 end"}')
    report = library.ingest()
    assert report.outcome == "complete"
    assert set(library.states().values()) == {("stored", None)}
    for word, path in {"übergross": "latin.txt", "zebra": "utf16.txt", "walrus": "utf8-mark.txt", "giraffe": "nul.txt",
                       "okapi": "surrogate.json"}.items():  # fmt: skip
        assert library.search(word)[0].path == path


def test_names_with_newlines_and_undecodable_bytes_are_stored_under_one_spelling(library: Library) -> None:
    raw = os.fsencode(library.folder)
    for name, text in {b"two\nlines.txt": b"heron", b"latin-\xe9.txt": b"egret", b"100%.txt": b"ibis"}.items():
        with open(os.path.join(raw, name), "wb") as file:
            file.write(text)
    assert library.ingest().outcome == "complete"
    assert set(library.states()) == {"two%0Alines.txt", "latin-%E9.txt", "100%25.txt"}
    answer = library.search("heron")[0]
    assert answer.path == "two%0Alines.txt"
    assert answer.file == str(library.folder / "two\nlines.txt")
    assert library.search("egret")[0].path == "latin-%E9.txt"
    assert library.ingest().runs == 0 or library.ingest().new == 0


def test_what_cannot_be_opened_fails_with_its_own_reason_and_a_remedy(library: Library) -> None:
    office = Path(__file__).parents[1] / "data" / "office"
    letter = (office / "letter.docx").read_bytes()
    library.write("cut.docx", letter[:9000])
    library.write("cut.pdf", made_files.pdf_report()[:-900])
    library.write("locked.pdf", made_files.pdf_encrypted())
    library.write("pageless.pdf", made_files.pdf_without_pages())
    library.write("bomb.zip", made_files.zipped({"zeros.txt": bytes(80_000_000)}))
    library.write("locked-inside.zip", made_files.zipped({"a.pdf": made_files.pdf_encrypted()}))
    library.write("not-a-letter.docx", "a text that somebody named .docx")
    report = library.ingest()
    assert report.outcome == "failed"
    assert {one.path: one.reason for one in troubles(library.session, states=["failed"])} == {
        "cut.docx": "truncated",
        "cut.pdf": "truncated",
        "locked.pdf": "encrypted",
        "pageless.pdf": "no pages",
        "bomb.zip": "decompression bomb",
        "locked-inside.zip": "encrypted",
    }
    assert library.states()["not-a-letter.docx"] == ("stored", None)
    assert all(remedies(library).values())


def test_identical_files_are_one_document_with_two_items_and_parsed_once(library: Library) -> None:
    library.write("a.txt", "the same pelican")
    library.write("sub/b.txt", "the same pelican")
    report = library.ingest()
    assert report.computed == {"parse": 1, "chunk": 1, "embed": 1}
    assert library.one("select count(*) from leasehold.document") == 1
    (answer,) = library.search("pelican")
    assert answer.copies == 2


def test_identical_files_that_fail_or_have_no_text_get_the_same_verdict_each(library: Library) -> None:
    """Method: two damaged and two textless files, so that one page meets each content twice."""
    for name in "ab":
        library.write(f"damaged-{name}.json", '{"open": [1, 2')
        library.write(f"blank-{name}.txt", "\n \n\t\n")
    report = library.ingest()
    assert report.outcome == "failed"
    assert report.verdicts == {"failed": {"damaged": 2}, "skipped": {"no text found": 2}}


# -- skipped ----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_as_text_is_skipped_with_the_reason_and_exits_0(library: Library) -> None:
    root = library.folder
    library.write("good.txt", "text")
    library.write("empty.txt", "")
    library.write("blank.md", " \n\n ")
    library.write("scanned.pdf", made_files.pdf_picture())
    library.write("film.mp4", b"\x00\x00\x00\x18ftypmp42" + bytes(64))
    library.write("picture.png", PNG)
    library.write("pictures.zip", made_files.zipped({"a.png": PNG}))
    os.mkfifo(root / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.relpath(root / "socket"))
    (root / "loop").symlink_to("loop")
    (root / "up").symlink_to("..", target_is_directory=True)
    (root / "nothing").symlink_to("not-there")
    (root / "out").symlink_to("/etc/hostname")
    report = library.ingest()
    listener.close()
    assert report.outcome == "complete"
    assert library.states() == {
        "good.txt": ("stored", None),
        "empty.txt": ("skipped", "empty"),
        "blank.md": ("skipped", "no text found"),
        "scanned.pdf": ("skipped", "no text found"),
        "film.mp4": ("skipped", "no reader for the type"),
        "picture.png": ("skipped", "no reader for the type"),
        "pictures.zip": ("skipped", "no text found"),
        "pipe": ("skipped", "not a regular file"),
        "socket": ("skipped", "not a regular file"),
        "loop": ("skipped", "dangling link"),
        "up": ("skipped", "link to a directory"),
        "nothing": ("skipped", "dangling link"),
        "out": ("skipped", "link out of the source"),
    }
    assert report.seen == 13 == sum(report.count(state) for state in report.verdicts)


def test_excluded_files_are_counted_and_the_proof_holds_after_an_exclude_is_given(library: Library) -> None:
    for number in range(4):
        library.write(f"{number}.txt", f"text {number}")
        library.write(f"{number}.log", f"log {number}")
    assert library.ingest().seen == 8
    report = library.ingest(exclude=("*.log",))
    assert (report.seen, report.excluded, report.deleted, report.unchanged) == (4, 4, 4, 4)
    assert len(library.states()) == 4
    assert library.one("select count(*) from leasehold.chunk") == 4
    report = library.ingest(include=("*.log",))
    assert (report.seen, report.new, report.deleted) == (4, 4, 4)
    assert report.computed == {}, "the log files were parsed before"


def test_a_file_that_vanishes_before_it_is_read_is_skipped_and_gone_after_the_next_scan(library: Library) -> None:
    library.write("stays.txt", "stays")
    gone = library.write("gone.txt", "goes")
    report = library.ingest(between=lambda kind, steps: gone.unlink(missing_ok=True))
    assert report.outcome == "complete"
    assert library.states()["gone.txt"] == ("skipped", "vanished before it was read")
    assert library.ingest().deleted == 1
    assert set(library.states()) == {"stays.txt"}


def test_a_file_that_is_moved_while_it_waits_is_read_at_its_new_place_in_the_same_ingest(library: Library) -> None:
    file = library.write("a.txt", "moving moose")

    def move(kind: str, steps: object) -> None:
        if kind == "parse" and file.exists():
            file.rename(library.folder / "b.txt")

    report = library.ingest(between=move)
    assert report.outcome == "complete"
    assert library.ingest().outcome == "complete"
    assert library.states() == {"b.txt": ("stored", None)}


# -- failed -----------------------------------------------------------------------------------------------------------


def test_an_unreadable_file_fails_with_a_remedy_that_works(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the system call is made to refuse; the next ingest tries again by itself."""
    real = folder._open_plain

    def refuse(root: Path, parts: list[bytes]) -> int:
        if parts[-1] == b"secret.txt":
            raise PermissionError(13, "Permission denied")
        return real(root, parts)

    library.write("secret.txt", "lynx")
    with monkeypatch.context() as patched:
        patched.setattr(folder, "_open_plain", refuse)
        assert library.ingest().verdicts == {"failed": {"unreadable": 1}}
        assert "chmod" in remedies(library)["secret.txt"]
        assert library.ingest().outcome == "failed"
    assert library.ingest().outcome == "complete"


def test_a_file_over_max_bytes_fails_with_a_remedy_that_works(library: Library) -> None:
    library.write("big.txt", "lynx " * 1000)
    library.write("small.txt", "bobcat")
    report = library.ingest(max_bytes=1000)
    assert report.outcome == "failed"
    assert report.verdicts == {"failed": {"over max_bytes": 1}, "stored": {"": 1}}
    assert "--max-bytes" in remedies(library)["big.txt"]
    report = library.ingest(max_bytes=10_000)
    assert (report.outcome, report.retried, report.runs) == ("complete", 1, 1)


def test_a_damaged_file_fails_until_it_is_changed_and_keeps_what_it_had_stored(library: Library) -> None:
    library.write("data.json", '{"animal": "tapir"}')
    library.ingest()
    library.write("data.json", '{"animal": "tapir", ')
    report = library.ingest()
    assert report.outcome == "failed"
    assert report.verdicts == {"failed": {"damaged": 1}}
    assert remedies(library)["data.json"]
    assert library.paths("tapir") == {"data.json"}, "replaced, never erased first"
    library.write("data.json", '{"animal": "capybara"}')
    assert library.ingest().outcome == "complete"
    assert library.paths("capybara") == {"data.json"}
    assert library.one("select count(*) from leasehold.collection_document") == 1


def test_a_damaged_file_is_not_tried_again_by_itself_but_by_retry(library: Library) -> None:
    file = library.write("data.json", '{"animal": ')
    os.utime(file, ns=(10**18, 10**18))
    assert library.ingest().runs == 1
    report = library.ingest()
    assert (report.runs, report.outcome, report.unchanged) == (0, "failed", 1)
    assert library.retry() == 1
    assert library.ingest().outcome == "failed"
    assert library.one("select count(*) from leasehold.outcome where ended = 'failed'") == 2


def test_a_path_longer_than_a_row_can_hold_fails_with_a_remedy(library: Library) -> None:
    raw = os.fsencode(library.folder)
    os.chdir(raw)
    for _ in range(8):  # percent-encoded: three characters a byte
        name = bytes(0x80 + number % 0x30 for number in range(120))
        os.mkdir(name)
        os.chdir(name)
    Path("deep.txt").write_text("deep")
    os.chdir("/")
    report = library.ingest()
    assert report.outcome == "failed"
    assert report.verdicts == {"failed": {"path too long": 1}}


def test_text_that_the_database_refuses_fails_alone(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is bisected: the poison row fails with the database's words, its neighbours are stored."""
    from leasehold.documents import storing

    real = storing._stored

    def poisoned(item: object, inputs: object) -> object:
        stored = real(item, inputs)  # type: ignore[arg-type]
        if item.path == "poison.txt":  # type: ignore[attr-defined]
            chunk = stored.chunks[0]
            object.__setattr__(stored, "chunks", [type(chunk)(chunk.text + "\x00", 1, 1)])
        return stored

    monkeypatch.setattr(storing, "_stored", poisoned)
    for number in range(9):
        library.write(f"{number}.txt", f"number {number}")
    library.write("poison.txt", "poison")
    report = library.ingest()
    assert report.verdicts == {"stored": {"": 9}, "failed": {"refused by the database": 1}}


def test_a_single_file_is_a_source(library: Library) -> None:
    file = library.write("only.txt", "the only okapi")
    library.write("other.txt", "not this one")
    report = library.ingest(file)
    assert (report.outcome, report.seen) == ("complete", 1)
    answer = library.search("okapi")[0]
    assert (answer.path, answer.file) == ("only.txt", str(file))
    assert library.ingest(file).unchanged == 1

"""Mail, mailboxes and archives: what is inside is read by its own reader, and an answer names the way to it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import mailbox
import sys
import tarfile
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

import made_files
from leasehold.steps import limits, media, reading
from leasehold.steps.detection import detect
from leasehold.steps.places import as_json, described
from leasehold.steps.reading import read
from leasehold.types import Parsed, StepError
from made_files import zipped

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PNG = b"\x89PNG\r\n\x1a\n"


def parse(data: bytes, name: str = "file") -> Parsed:
    return read(data, media_type=detect(name, data), name=name)


def refused(data: bytes, name: str = "file") -> StepError:
    with pytest.raises(StepError) as found:
        parse(data, name)
    assert found.value.remedy
    return found.value


def wheres(parsed: Parsed) -> list[tuple[str, str]]:
    return [(described(one.place, one.line, one.line, one.line), one.text) for one in parsed.blocks]


def mail(text: str = "Hello,\nsee below.\n") -> EmailMessage:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = "Größe der Miete", "Ada <ada@example.org>", "bab@example.org"
    made["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    made.set_content(text)
    return made


def tarred(parts: Mapping[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as file:
        for name, content in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return out.getvalue()


# -- mail -------------------------------------------------------------------------------------------------------------


def test_a_mail_has_its_headers_its_text_and_its_attachments_by_their_own_readers():
    made = mail()
    made.add_alternative("<p>Hello in <b>colours</b></p>", subtype="html")
    made.add_attachment(made_files.pdf_plain("attached words"), maintype="application", subtype="pdf",
                        filename="Prüfung.pdf")  # fmt: skip
    made.add_attachment("# Notes\n\nof Ada", subtype="markdown", filename="notes.md")
    made.add_attachment(PNG, maintype="image", subtype="png", filename="photo.png")
    parsed = parse(made.as_bytes(policy=SMTP), "a.eml")
    assert parsed.title == "Größe der Miete"
    headers, text, pdf, notes = parsed.blocks
    assert headers.text.split("\n")[:2] == ["Subject: Größe der Miete", "From: Ada <ada@example.org>"]
    assert (text.text, text.place, text.heading) == (
        "Hello,\nsee below.\n", (("part", "1.1"),), ("Größe der Miete",),
    )  # fmt: skip
    assert pdf.text == "attached words"
    assert described(pdf.place, 1, 1, 1) == "part 2, attachment Prüfung.pdf, page 1"
    assert as_json(pdf.place, 1, 1, 1) == {"part": "2", "attachment": "Prüfung.pdf", "page": 1}
    assert notes.heading == ("Notes",)
    assert described(notes.place, 1, 3, 3) == "part 3, attachment notes.md, line 3"
    assert parsed.notes == ("not read: photo.png: no reader for the type: image/png",)


def test_a_mail_that_is_only_a_web_page_is_read_as_one_in_its_charset():
    made = EmailMessage()
    made["Subject"], made["From"] = "Page", "a@example.org"
    made.set_content("<h1>Preis</h1><p>Gr\u00f6\u00dfe</p>", subtype="html", charset="iso-8859-1")
    parsed = parse(made.as_bytes(), "a.eml")
    assert [(block.heading, block.text) for block in parsed.blocks[1:]] == [
        (("Page", "Preis"), "Preis"),
        (("Page", "Preis"), "Größe"),
    ]


def test_a_forwarded_mail_is_read_with_its_parts_numbered_below_it():
    inner = mail("inner words")
    inner.add_attachment("a,b\n1,2\n", subtype="csv", filename="table.csv")
    outer = mail("outer words")
    outer.add_attachment(inner)
    found = {text.strip(): where for where, text in wheres(parse(outer.as_bytes(), "f.eml"))}
    assert found["outer words"] == "part 1, line 1"
    assert found["inner words"] == "part 2.1, line 1"
    assert found["a | b\n1 | 2"] == "part 2.2, attachment table.csv, line 1"


def test_a_mailbox_numbers_its_mails_and_restores_quoted_lines(tmp_path: Path):
    box = mailbox.mbox(str(tmp_path / "box.mbox"))
    for text in ("first words\n", "second\n\nFrom here on it is quoted.\n"):
        box.add(mail(text))
    box.flush()
    data = (tmp_path / "box.mbox").read_bytes()
    assert detect("archive", data) == media.MBOX
    parsed = parse(data, "box.mbox")
    assert wheres(parsed)[1] == ("mail 1, part 1, line 1", "first words\n")
    assert wheres(parsed)[3][1].startswith("second\n\nFrom here on")
    assert len(parsed.blocks) == 4


def test_a_mailbox_without_its_marks_is_one_mail_and_one_cut_at_its_start_loses_nothing():
    data = mail("only words").as_bytes()
    assert "only words" in parse(data, "box.mbox").blocks[-1].text
    two = data + b"\n\nFrom b@example.org Mon\n" + mail("more words").as_bytes()
    texts = [block.text for block in read(two, media_type=media.MBOX, name="box.mbox").blocks]
    assert ("only words" in texts[1], "more words" in texts[3]) == (True, True)


def test_a_mail_is_known_by_its_content_and_a_text_that_mentions_headers_is_none():
    assert detect("message", mail().as_bytes()) == media.EML
    assert (
        detect("notes.txt", b"From: is a header.\n\nTo: is another, and Date: and Subject: as well\n") == "text/plain"
    )
    assert detect("a.txt", b"To: do\nFrom: here\n- one\nSubject: x\nDate: y\n\nwords") == "text/plain"


@pytest.mark.parametrize(
    "data",
    [
        b"Subject: =?utf-8?b?broken\nFrom: \xff\xfe\nContent-Type: text/plain; charset=no-such\n\nwords \xe9",
        b"Content-Type: multipart/mixed; boundary=\nFrom: x\n\n--\nwords",
        b"Content-Type: multipart/mixed; boundary=a\n\nno part at all, words",
        b"Content-Transfer-Encoding: base64\n\nd29yZHM\xff=",
        b"Content-Type: text/plain; charset*=utf-8''%ff\nSubject: a\n\nwords",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: inline; filename*=x''%zz\n\nwords",
    ],
)
def test_a_malformed_mail_is_read_as_far_as_it_goes(data):
    assert "words" in "".join(block.text for block in parse(data, "a.eml").blocks)


def test_a_mail_of_parts_in_parts_without_end_ends():
    data = (
        b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(3000)) + b"\nwords"
    )
    try:
        parse(data, "a.eml")
    except StepError as error:
        assert error.reason == "damaged"  # noqa: PT017


# -- archives ---------------------------------------------------------------------------------------------------------


def test_an_archive_is_read_member_by_member_archives_and_mails_in_it_included():
    inner = zipped({"deep/list.csv": "flat,rent\n1a,900\n"})
    made = mail()
    made.add_attachment(inner, maintype="application", subtype="zip", filename="inner.zip")
    data = tarred({"docs/a.md": b"# A\n\nwords", "b.eml": made.as_bytes(), "c.zip": inner, "d.png": PNG}, "w:gz")
    parsed = parse(data, "all.tar.gz")
    found = wheres(parsed)
    assert found[0] == ("docs/a.md, line 1", "# A\n\nwords")
    assert ("b.eml, part 2, attachment inner.zip, deep/list.csv, line 1", "flat | rent\n1a | 900") in found
    mailed = next(block.place for block in parsed.blocks if len(block.place) == 4)
    assert as_json(mailed, 1, 2, 1) == {"member": "b.eml!deep/list.csv", "part": "2", "attachment": "inner.zip"}
    assert ("c.zip!deep/list.csv, line 1", "flat | rent\n1a | 900") in found
    assert parsed.notes == ("not read: d.png: no reader for the type: image/png",)


@pytest.mark.parametrize(
    ("name", "pack"),
    [("log.txt.gz", gzip.compress), ("log.txt.bz2", bz2.compress), ("log.txt.xz", lzma.compress),
     ("log.txt.zst", zstd.compress)],
)  # fmt: skip
def test_a_packed_file_is_its_content(name, pack):
    assert wheres(parse(pack(b"one\ntwo\n"), name)) == [("log.txt, line 1", "one\ntwo\n")]
    packed_tar = pack(tarred({"a.txt": b"words"}))
    assert wheres(parse(packed_tar, "whatever")) == [("a.txt, line 1", "words")]


def test_names_that_lead_out_or_steer_a_terminal_are_shown_harmlessly():
    names = [
        "../../etc/passwd",
        "/etc/shadow",
        "..\\..\\boot.ini",
        "a\x1b[2Jb.txt",
        "c/./d//e.txt",
        "f\u202etxt.exe.md",
    ]
    parsed = parse(zipped(dict.fromkeys(names, "words")), "evil.zip")
    assert [where.removesuffix(", line 1") for where, _ in wheres(parsed)] == [
        "%2E%2E/%2E%2E/etc/passwd", "etc/shadow", "%2E%2E/%2E%2E/boot.ini", "a%1B[2Jb.txt", "c/d/e.txt",
        "f%E2%80%AEtxt.exe.md",
    ]  # fmt: skip


def test_a_member_without_a_name_is_passed_over():
    data = bytearray(zipped({"x": "words", "b.txt": "more words"}))
    at = data.index(b"PK\x01\x02")
    name = data.index(b"x", at + 46)
    local = data.index(b"x", 30)
    data[name] = data[local] = 0  # zipfile ends a name at its first NUL
    assert wheres(parse(bytes(data), "a.zip")) == [("b.txt, line 1", "more words")]


def test_links_devices_and_the_litter_of_macos_are_passed_over():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            file.addfile(entry)
        entry = tarfile.TarInfo("._a.txt")
        entry.size = 5
        file.addfile(entry, io.BytesIO(b"macos"))
    assert parse(out.getvalue(), "a.tar").blocks == ()
    assert parse(zipped({"__MACOSX/a.txt": "x", ".DS_Store": "y"}), "a.zip").blocks == ()


def test_a_file_that_expands_without_end_is_named_a_bomb():
    zeros = bytes(200_000_000)
    assert refused(gzip.compress(zeros), "a.gz").reason == limits.BOMB
    assert refused(zipped({f"{n}.txt": zeros[:40_000_000] for n in range(3)}), "a.zip").reason == limits.BOMB
    nested = zipped({f"{n}.zip": zipped({"a.txt": zeros[:40_000_000]}) for n in range(3)})
    assert refused(nested, "nested.zip").reason == limits.BOMB


def test_a_sparse_member_that_claims_terabytes_is_no_more_than_allowed():
    entry = tarfile.TarInfo("big.txt")
    entry.size = 1 << 40
    data = entry.tobuf(tarfile.GNU_FORMAT) + b"words" * 1000
    assert refused(data, "a.tar").reason in ("damaged", limits.BOMB)


def test_more_than_a_gigabyte_is_too_far_however_it_is_spread(monkeypatch):
    """Method: a lower limit, so that the test does not unpack a gigabyte."""
    monkeypatch.setattr(limits, "EXPANDED_BYTES_MAX", 1000)
    assert refused(zipped({f"{n}.txt": "words " * 50 for n in range(10)}), "a.zip").reason == limits.TOO_FAR
    monkeypatch.setattr(limits, "EXPANDED_BYTES_MAX", 1 << 30)
    monkeypatch.setattr(limits, "MEMBERS_MAX", 5)
    assert refused(zipped({f"{n}.txt": "words" for n in range(10)}), "a.zip").reason == limits.TOO_FAR
    monkeypatch.setattr(limits, "MEMBERS_MAX", 100)
    monkeypatch.setattr(limits, "MEMBER_BYTES_MAX", 20)
    parsed = parse(zipped({"small.txt": "words", "large.txt": "words " * 50}), "a.zip")
    assert wheres(parsed) == [("small.txt, line 1", "words")]
    assert parsed.notes == ("not read: large.txt: too large: more than 20 bytes",)


def test_archives_in_archives_are_read_to_a_depth_and_what_is_deeper_is_noted():
    data = b"deepest words"
    for level in range(8):
        data = zipped({f"level{level}.zip" if level else "a.txt": data, f"note{level}.txt": f"note {level}"})
    parsed = parse(data, "deep.zip")
    assert [block.text for block in parsed.blocks] == ["note 7", "note 6", "note 5", "note 4", "note 3"] or {
        block.text for block in parsed.blocks
    } == {f"note {level}" for level in range(3, 8)}
    assert any("nested too deep" in note for note in parsed.notes)


def test_what_is_damaged_or_locked_inside_is_noted_and_what_breaks_off_keeps_what_came_before():
    data = tarred({"a.txt": b"words " * 500, "b.txt": b"more " * 5000})
    cut = parse(data[: 512 + 3072 + 700], "a.tar")
    assert cut.blocks[0].text.startswith("words")
    assert any("damaged" in note for note in cut.notes)
    mixed = parse(zipped({"good.txt": "words", "bad.json": "{", "secret.pdf": made_files.pdf_encrypted()}), "a.zip")
    assert [block.text for block in mixed.blocks] == ["words"]
    assert [note.split(":")[1].strip() for note in mixed.notes] == ["bad.json", "secret.pdf"]
    alone = refused(zipped({"secret.pdf": made_files.pdf_encrypted()}), "a.zip")
    assert alone.reason == "encrypted"
    assert alone.detail.startswith("secret.pdf: ")


def test_an_archive_without_text_says_what_is_in_it():
    parsed = parse(zipped({"a.png": PNG, "b.png": PNG}), "pictures.zip")
    assert parsed.blocks == ()
    assert len(parsed.notes) == 2


def test_damage_has_its_name():
    whole = zipped({"a.txt": "words"})
    assert refused(whole[:-30], "a.zip").reason == "truncated"
    assert refused(gzip.compress(b"words" * 1000)[:-20], "a.gz").reason == "damaged"
    assert refused(b"\x1f\x8b\x08\x00" + bytes(100), "a.gz").reason == "damaged"
    assert refused(b"\xfd7zXZ\x00" + bytes(100), "a.xz").reason == "damaged"


def test_a_container_is_read_again_when_any_reader_changes(monkeypatch):
    from leasehold.steps import markdown, readers

    before = {of: reading.reader_version(of) for of in ("application/zip", media.EML, "text/markdown", "text/plain")}
    monkeypatch.setattr(markdown, "READER_VERSION", 99)
    readers._inside.cache_clear()
    after = {of: reading.reader_version(of) for of in before}
    readers._inside.cache_clear()
    assert {of for of in before if before[of] != after[of]} == {"application/zip", media.EML, "text/markdown"}

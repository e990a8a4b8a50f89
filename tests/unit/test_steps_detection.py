"""What a file is: the content decides first, the name second."""

from __future__ import annotations

import subprocess
import sys

import pytest

from leasehold.steps.detection import TEXTS, detect, essence, language
from leasehold.steps.readers import readable

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("notes.txt", b"Rent is due on the first.\n", "text/plain"),
        ("README.md", b"# Leases\n", "text/markdown"),
        ("index.HTML", b"<p>hello", "text/html"),
        ("rents.csv", b"flat,rent\n1,900\n", "text/csv"),
        ("rents.json", b"[1]", "application/json"),
        ("log.jsonl", b"{}\n{}\n", "application/jsonl"),
        ("tree/a.py", b"import os\n", "text/x-source; language=python"),
        ("a.pyi", b"x: int\n", "text/x-source; language=python"),
        ("main.rs", b"fn main() {}\n", "text/x-source; language=rust"),
        ("deploy.yaml", b"a: 1\n", "text/x-source; language=yaml"),
        ("Makefile", b"all:\n\ttrue\n", "text/x-source; language=make"),
        ("Dockerfile", b"FROM scratch\n", "text/x-source; language=docker"),
        ("CMakeLists.txt", b"project(x)\n", "text/x-source; language=cmake"),
        ("LICENSE", b"Apache License\n", "text/plain"),
        ("LICENSE.APACHE", b"Apache License\n", "text/plain"),
        ("a.weird", b"plain words\n", "text/plain"),
        ("a.weird", "Größe".encode("latin-1"), "text/plain"),
        ("run", b"#!/usr/bin/env python3\nprint()\n", "text/x-source; language=python"),
        ("run", b"#!/bin/sh -e\n", "text/x-source; language=shell"),
        ("saved-page", b"\xef\xbb\xbf<!DOCTYPE html><html>", "text/html"),
        ("empty.md", b"", "text/markdown"),
    ],
)
def test_a_text_is_what_its_name_says_or_plain_when_the_name_says_nothing(name, head, expected):
    assert detect(name, head) == expected
    assert readable(expected)


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("notes.txt", PNG, "image/png"),
        ("a.pdf", b"%PDF-1.7\n", "application/pdf"),
        ("notes.md", b"%PDF-1.4\n%\xe2\xe3", "application/pdf"),
        ("a.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        ("a", b"\x7fELF\x02\x01\x01\x00", "application/x-executable"),
        ("a.tgz", b"\x1f\x8b\x08\x00", "application/gzip"),
        ("a.zip", b"PK\x03\x04\x14\x00\x00\x00", "application/zip"),
        ("r.docx", b"PK\x03\x04\x14", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("r.bin", b"PK\x03\x04..xl/workbook.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
        ("a.txt", b"{\\rtf1\\ansi", "application/rtf"),
        ("mail.eml", b"From: a@example.org\n", "message/rfc822"),
        ("a.wav", b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        ("a.tar", b"x" * 257 + b"ustar", "application/x-tar"),
        ("blob", b"\x00\x01\x02\x03", "application/octet-stream"),
        ("blob.pdf", b"\x00\x01\x02\x03", "application/pdf"),
        ("blob.txt", bytes(range(256)) * 4, "application/octet-stream"),
    ],
)
def test_a_file_that_is_no_text_is_named_so_whatever_it_is_called(name, head, expected):
    assert detect(name, head) == expected
    assert expected not in TEXTS


def test_nul_bytes_are_text_with_a_mark_or_under_a_name_that_says_text_and_binary_otherwise():
    assert detect("a.bin", "lease".encode("utf-16")) == "text/plain"
    assert detect("a.md", "# lease".encode("utf-32")) == "text/markdown"
    assert detect("a.txt", b"one\x00two\n") == "text/plain"
    assert detect("a.py", b"x = 'a\x00b'\n").startswith("text/x-source")
    assert detect("a", b"one\x00two\n") == "application/octet-stream"


def test_a_text_that_only_starts_like_a_binary_format_is_text():
    assert detect("a.txt", b"BMW and MZ and ID3 and RIFFs") == "text/plain"
    assert detect("a.txt", b"PK is short for primary key") == "text/plain"


def test_a_pdf_by_name_that_is_a_web_page_in_fact_is_read_as_one():
    assert detect("report.pdf", b"<html><body>404 Not found") == "text/html"


def test_the_language_is_a_parameter_of_the_media_type():
    assert essence("text/x-source; language=go") == "text/x-source"
    assert language("text/x-source; language=go") == "go"
    assert language("text/plain") == ""


def test_importing_the_steps_imports_no_heavy_library():
    """Every command imports this package; few read a document."""
    code = (
        "import sys, leasehold.steps, leasehold.steps.detection, leasehold.steps.reading, leasehold.steps.chunking,"
        " leasehold.steps.embedding;"
        "heavy = {'pypdfium2', 'python_calamine', 'email', 'zipfile', 'semantic_text_splitter', 'json', 'html'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

"""Listing a folder and reading from it: every odd file has its verdict, and nothing outside the root is ever read."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leasehold.options import SourceOptions
from leasehold.sources.folder import Entry, Oddity, ScanCounts, Vanished, open_item, scan
from leasehold.sources.plan import ROOT
from leasehold.types import ErrorClass, StepError

MB = 1_000_000


def listed(root: Path, *, include: tuple[str, ...] = ()) -> dict[str, Entry | Oddity]:
    listing = list(scan(root, SourceOptions(include=include)))
    found = {one.path: one for one in listing}
    assert len(found) == len(listing), "a path was listed twice"
    return found


def verdict(one: Entry | Oddity) -> tuple[str, str]:
    assert isinstance(one, Oddity)
    return one.verdict, one.reason


@contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Permissions do not bind root: while this lasts, the process has the effective user `nobody`."""
    if os.geteuid() != 0:
        yield
        return
    nobody = pwd.getpwnam("nobody")
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(nobody.pw_gid)
    os.seteuid(nobody.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that every user can reach (pytest's own are closed to all but its user)."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    yield place
    for directory, names, _ in os.walk(place):
        for name in names:
            os.chmod(os.path.join(directory, name), 0o700)
    shutil.rmtree(place)


# -- listing ----------------------------------------------------------------------------------------------------------


def test_a_regular_file_is_listed_with_its_stat(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b.md"
    file.parent.mkdir()
    file.write_bytes(b"hello")
    status = file.stat()
    assert listed(tmp_path) == {"a/b.md": Entry("a/b.md", 5, status.st_mtime_ns, status.st_ino)}


def test_the_order_of_a_listing_is_by_name_files_before_directories(tmp_path: Path) -> None:
    for path in ("b/z.md", "b/a/x.md", "a/y.md", "c.md", "B.md", "ü.md"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    order = [one.path for one in scan(tmp_path, SourceOptions())]
    assert order == ["B.md", "c.md", "ü.md", "a/y.md", "b/z.md", "b/a/x.md"]


def test_names_of_any_bytes_are_listed_and_can_be_read(tmp_path: Path) -> None:
    names = [b"plain", b"two\nlines", b"latin \xfc", b"100%", b" space ", "手紙".encode(), b"\x1b[31m", b"%0A"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    found = listed(tmp_path)
    assert len(found) == len(names)
    assert {open_item(tmp_path, path, max_bytes=MB)[0] for path in found} == set(names)
    assert all(path.isprintable() for path in found)


def test_directories_with_names_of_any_bytes_are_entered(tmp_path: Path) -> None:
    deep = Path(os.fsdecode(os.fsencode(tmp_path) + b"/x\n\xff%/y"))
    deep.mkdir(parents=True)
    (deep / "a.md").write_text("deep")
    assert list(listed(tmp_path)) == ["x%0A%FF%25/y/a.md"]
    assert open_item(tmp_path, "x%0A%FF%25/y/a.md", max_bytes=MB)[0] == b"deep"


def test_an_empty_file_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert verdict(listed(tmp_path)["a"]) == ("skipped", "empty")


def test_fifos_and_sockets_are_skipped_without_being_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        found = listed(tmp_path)
    assert verdict(found["fifo"]) == verdict(found["socket"]) == ("skipped", "not a regular file")
    assert {one.detail for one in found.values() if isinstance(one, Oddity)} == {"a FIFO", "a socket"}


def test_links_to_directories_are_not_followed_so_loops_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.md").write_text("x")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "self").symlink_to("self")
    found = listed(tmp_path)
    assert isinstance(found.pop("a/x.md"), Entry)
    assert {path: verdict(one)[1] for path, one in found.items()} == {
        "a/up": "link to a directory",
        "b": "link to a directory",
        "self": "dangling link",
    }


def test_a_link_to_a_file_inside_the_root_is_that_file_under_its_own_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.md").write_text("content")
    (tmp_path / "link.md").symlink_to("a/x.md")
    (tmp_path / "a" / "chain.md").symlink_to(tmp_path / "link.md")
    found = listed(tmp_path)
    assert {tuple(one)[1:] for one in found.values()} == {tuple(found["a/x.md"])[1:]}
    assert [open_item(tmp_path, path, max_bytes=MB)[0] for path in found] == [b"content"] * 3


def test_a_link_that_leads_out_of_the_root_is_skipped_and_never_read(tmp_path: Path) -> None:
    """Whoever may write into the folder must not publish what only its reader can read."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root-not").mkdir()
    (tmp_path / "root-not" / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to("../secret")
    (root / "beside").symlink_to("../root-not/secret")
    found = listed(root)
    for path in ("out", "beside"):
        assert verdict(found[path]) == ("skipped", "link out of the source")
        with pytest.raises(Vanished, match="link out of the source"):
            open_item(root, path, max_bytes=MB)


def test_a_link_to_something_excluded_is_excluded_too(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("token")
    (tmp_path / "config.md").symlink_to(".git/config")
    counts = ScanCounts()
    assert list(scan(tmp_path, SourceOptions(), counts)) == []
    assert (counts.excluded_files, counts.excluded_directories) == (1, 1)


def test_an_unreadable_directory_is_reported_as_unknown_and_the_rest_is_listed(open_place: Path) -> None:
    for name in ("a", "closed", "z"):
        (open_place / name).mkdir()
        (open_place / name / "x.md").write_text("x")
    (open_place / "closed").chmod(0)
    with an_ordinary_user():
        found = listed(open_place)
    closed = found["closed"]
    assert verdict(closed) == ("failed", "unreadable")
    assert isinstance(closed, Oddity)
    assert closed.unknown
    assert "chmod" in closed.remedy
    assert set(found) == {"a/x.md", "closed", "z/x.md"}


def test_files_that_cannot_even_be_looked_at_are_unreadable_one_by_one(open_place: Path) -> None:
    """A directory that may be listed but not entered (r--)."""
    (open_place / "a").mkdir()
    (open_place / "a" / "x.md").write_text("x")
    (open_place / "a").chmod(0o444)
    with an_ordinary_user():
        found = listed(open_place)
    assert verdict(found["a/x.md"]) == ("failed", "unreadable")
    assert found["a/x.md"].unknown  # type: ignore[union-attr]


def test_a_root_that_is_away_or_closed_says_so_and_knows_nothing(open_place: Path) -> None:
    closed = open_place / "closed"
    closed.mkdir(mode=0o000)
    with an_ordinary_user():
        found = [*scan(open_place / "away", SourceOptions()), *scan(closed, SourceOptions())]
    assert [(one.path, *verdict(one)) for one in found] == [
        (ROOT, "failed", "source is not there"),
        (ROOT, "failed", "unreadable"),
    ]
    assert all(one.unknown for one in found if isinstance(one, Oddity))


def test_a_root_that_is_one_file_is_that_file_whatever_the_patterns_say(tmp_path: Path) -> None:
    file = tmp_path / "100%.pyc"
    file.write_bytes(b"hello")
    assert list(listed(file, include=("*.md",))) == ["100%25.pyc"]
    assert open_item(file, "100%25.pyc", max_bytes=MB)[0] == b"hello"
    with pytest.raises(StepError, match="source is not there"):
        open_item(file, "other", max_bytes=MB)
    file.write_bytes(b"")
    assert verdict(listed(file)["100%25.pyc"]) == ("skipped", "empty")


def test_a_deep_tree_is_walked_without_recursion(tmp_path: Path) -> None:
    chain = [tmp_path / "/".join("d" * depth) for depth in range(1, 1201)]
    for directory in chain:
        directory.mkdir()
    (chain[-1] / "x.md").write_text("x")
    (path,) = listed(tmp_path)
    assert path.count("/") == 1200
    assert open_item(tmp_path, path, max_bytes=MB)[0] == b"x"
    (chain[-1] / "x.md").unlink()  # pytest's own cleaning recurses
    for directory in reversed(chain):
        directory.rmdir()


def test_a_directory_that_goes_away_during_the_scan_is_unknown_not_deleted(tmp_path: Path) -> None:
    """Method: the scan is stopped after the first entry, and the directory it has yet to list is moved away."""
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "x.md").write_text("x")
    scanning = scan(tmp_path, SourceOptions())
    next(scanning)
    (tmp_path / "later").rename(tmp_path / "elsewhere")
    (rest,) = scanning
    assert rest == Oddity("later", "skipped", "vanished before it was read", unknown=True)


def test_a_directory_exchanged_for_a_link_during_the_scan_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for directory in (root / "later", outside):
        directory.mkdir(parents=True)
    (root / "a.md").write_text("x")
    (outside / "secret").write_text("x")
    scanning = scan(root, SourceOptions())
    next(scanning)
    (root / "later").rmdir()
    (root / "later").symlink_to(outside)
    assert [one.path for one in scanning] == ["later"]


# -- reading ----------------------------------------------------------------------------------------------------------


def test_content_comes_with_the_stat_it_was_read_under(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 200_000)
    content, stat = open_item(tmp_path, "a", max_bytes=200_000)
    assert content == b"x" * 200_000
    assert tuple(stat) == listed(tmp_path)["a"][1:]


def test_a_file_over_max_bytes_fails_with_the_flag_that_helps(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 11)
    with pytest.raises(StepError) as failed:
        open_item(tmp_path, "a", max_bytes=10)
    assert (failed.value.reason, failed.value.error_class) == ("over max_bytes", ErrorClass.PERMANENT)
    assert "--max-bytes" in failed.value.remedy
    assert open_item(tmp_path, "a", max_bytes=11)[0] == b"x" * 11


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs files that are longer than they say")
def test_a_file_that_is_longer_than_it_says_is_read_up_to_the_limit_only() -> None:
    """As if it grew meanwhile. Method: files in /proc say size 0."""
    root = Path("/proc/self").resolve()
    content, stat = open_item(root, "status", max_bytes=MB)
    assert stat.size == 0
    assert content.startswith(b"Name:")
    with pytest.raises(StepError, match="it grew past the limit"):
        open_item(root, "status", max_bytes=10)


def test_an_empty_file_reads_as_empty(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert open_item(tmp_path, "a", max_bytes=10)[0] == b""


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../secret", "/etc/passwd", "a//b", "./a", "", "a/", "%2E%2E/secret", "a%00"]
)
def test_a_path_that_leads_out_of_the_root_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(StepError, match="outside the source"):
        open_item(tmp_path / "root", path, max_bytes=MB)


def test_an_encoded_slash_opens_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with pytest.raises(StepError, match="outside the source"):
        open_item(tmp_path / "root", "a%2F..%2F..%2Fsecret", max_bytes=MB)


def test_a_directory_exchanged_for_a_link_leads_nowhere(tmp_path: Path) -> None:
    """After the listing, somebody puts a link to another tree in a directory's place."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "x.md").write_text("secret")
    (root / "a").symlink_to(outside)
    with pytest.raises(Vanished):
        open_item(root, "a/x.md", max_bytes=MB)


def test_a_fifo_or_directory_put_in_a_files_place_is_no_regular_file_and_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path in ("fifo", "directory", "socket"):
            with pytest.raises(Vanished) as vanished:
                open_item(tmp_path, path, max_bytes=MB)
            assert vanished.value.reason == "not a regular file"


def test_a_file_that_is_gone_has_vanished(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    for path in ("gone", "gone/too", "file/below", "dangling"):
        with pytest.raises(Vanished) as vanished:
            open_item(tmp_path, path, max_bytes=MB)
        assert vanished.value.reason == "vanished before it was read"


def test_a_root_that_is_away_does_not_make_its_files_vanish(tmp_path: Path) -> None:
    """Else a lost mount would skip every item of the source, with exit code 0."""
    with pytest.raises(StepError) as failed:
        open_item(tmp_path / "away", "a.md", max_bytes=MB)
    assert (failed.value.reason, failed.value.error_class) == ("source is not there", ErrorClass.TRANSIENT)


def test_a_file_that_may_not_be_read_fails_with_the_remedy(open_place: Path) -> None:
    (open_place / "a.md").write_text("x")
    (open_place / "a.md").chmod(0)
    with an_ordinary_user(), pytest.raises(StepError) as failed:
        open_item(open_place, "a.md", max_bytes=MB)
    assert (failed.value.reason, failed.value.error_class) == ("unreadable", ErrorClass.PERMANENT)
    assert "chmod" in failed.value.remedy


def test_reading_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("x")
    (tmp_path / "a" / "link").symlink_to("x")
    before = len(os.listdir("/dev/fd"))
    list(scan(tmp_path, SourceOptions()))
    for path in ("a/x", "a/link", "a", "a/gone", "gone/x"):
        try:
            open_item(tmp_path, path, max_bytes=MB)
        except Vanished:
            continue
    assert len(os.listdir("/dev/fd")) == before

"""A folder as artifact store: whole or not at all, inside the folder, and nothing of anybody else's."""

from __future__ import annotations

import errno
import os
import resource
import stat
from pathlib import Path

import pytest

from leasehold.artifacts import folder as module
from leasehold.artifacts.folder import FolderStore
from leasehold.artifacts.stores import new_key
from leasehold.errors import ArtifactStoreAway, ArtifactStoreFull

RECIPE = bytes(range(32))
KEY = f"00/{RECIPE.hex()}-0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(str(tmp_path / "store"))
    made.set_up()
    return made


def files(store: FolderStore) -> list[str]:
    return sorted(str(one.relative_to(store.root)) for one in Path(store.root).rglob("*") if not one.is_dir())


def test_what_was_put_is_read_back_and_taken_away_by_its_exact_key(store: FolderStore) -> None:
    first, second = new_key(RECIPE), new_key(RECIPE)
    store.put(first, b"one")
    store.put(second, b"")
    assert store.get(first, 3) == b"one"
    assert store.get(second, 0) == b""
    store.delete(first)
    store.delete(first)
    assert store.get(first, 3) is None
    assert files(store) == [second]


def test_no_more_is_read_than_was_stored_and_one_byte(store: FolderStore) -> None:
    key = new_key(RECIPE)
    store.put(key, bytes(1000))
    assert len(store.get(key, 10) or b"") == 11


@pytest.mark.parametrize("fails", ["fsync", "rename", "write"])
@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_put_that_fails_leaves_nothing_and_says_whether_room_is_the_reason(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, fails: str, why: int
) -> None:
    key = new_key(RECIPE)
    store.put(new_key(RECIPE), b"its folder is there")
    before = files(store)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(why, os.strerror(why))

    with monkeypatch.context() as patched:
        patched.setattr(module.os, fails, refuse)
        with pytest.raises(ArtifactStoreAway if why == errno.EIO else ArtifactStoreFull):
            store.put(key, b"content")
    assert files(store) == before
    assert store.get(key, 7) is None


def test_a_disk_that_fills_up_in_the_middle_of_a_file_leaves_no_part_of_it(store: FolderStore) -> None:
    """Method: a limit on the size of files refuses the write after its first part, as a full disk does."""
    key = new_key(RECIPE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(ArtifactStoreFull):
            store.put(key, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(store) == []


def test_content_is_synced_before_it_gets_its_name_and_the_folder_after(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between any two calls must leave the whole file under its name, or none. Method: the order of calls."""
    key = new_key(RECIPE)
    store.put(key, b"the folder of this recipe is there")
    said: list[str] = []
    sync, move = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        said.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        sync(descriptor)

    def rename(*args: object, **kwargs: object) -> None:
        said.append("rename")
        move(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(module.os, "fsync", fsync)
    monkeypatch.setattr(module.os, "rename", rename)
    store.put(new_key(RECIPE), b"content")
    assert said == ["sync file", "rename", "sync folder"]


def test_what_an_interrupted_put_left_goes_with_its_key_and_no_neighbour_does(store: FolderStore) -> None:
    key, neighbour = new_key(RECIPE), new_key(RECIPE)
    store.put(neighbour, b"mine")
    (Path(store.root) / f"{key}.part").write_bytes(b"half")
    (Path(store.root) / f"{key}.txt").write_bytes(b"somebody's")
    store.delete(key)
    assert files(store) == sorted([neighbour, f"{key}.txt"])


@pytest.mark.parametrize(
    "key",
    ["../../etc/passwd", "/etc/passwd", "00/../../x", "", "00", KEY + "/..", KEY.upper(), KEY + "\n", KEY + ".part"],
)
def test_a_key_that_is_none_is_refused_before_the_disk_is_touched(store: FolderStore, key: str) -> None:
    for verb in (lambda: store.put(key, b""), lambda: store.get(key, 1), lambda: store.delete(key)):
        with pytest.raises(ValueError, match="no key"):
            verb()


def test_links_below_the_folder_are_not_followed(store: FolderStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    key = new_key(RECIPE)
    below, _, name = key.partition("/")
    (outside / name).write_bytes(b"not ours")
    (Path(store.root) / below).symlink_to(outside)
    for verb in (lambda: store.get(key, 10), lambda: store.put(new_key(RECIPE), b"x"), lambda: store.delete(key)):
        with pytest.raises(ArtifactStoreAway):
            verb()
    assert [one.name for one in outside.iterdir()] == [name]
    other = new_key(bytes([1] * 32))
    (Path(store.root) / "01").mkdir()
    (Path(store.root) / other).symlink_to(outside / name)
    with pytest.raises(ArtifactStoreAway):
        store.get(other, 10)


def test_what_is_made_is_its_owners_alone(store: FolderStore) -> None:
    key = new_key(RECIPE)
    old = os.umask(0)
    try:
        store.put(key, b"private")
    finally:
        os.umask(old)
    file = Path(store.root) / key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(store.root).stat().st_mode) == 0o700


def test_a_folder_that_is_not_there_is_away_and_not_empty(tmp_path: Path) -> None:
    gone = FolderStore(str(tmp_path / "not-mounted"))
    key = new_key(RECIPE)
    for verb in (lambda: gone.put(key, b""), lambda: gone.get(key, 1), lambda: gone.delete(key), gone.room_bytes):
        with pytest.raises(ArtifactStoreAway):
            verb()

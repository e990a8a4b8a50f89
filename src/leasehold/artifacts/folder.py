"""A folder as artifact store: one file per object, written beside and renamed, in 256 folders by the key's beginning.

Durable when `put` returns: the file is synced before it gets its name, and the folder after. A crash leaves at most a
file `KEY.part`, which `delete` of that key removes with it; nothing else in the folder is ever touched. Symbolic links
below the folder are not followed. What is made is for its owner alone (0700, 0600); a folder that is there already
keeps its rights.

Several hosts may share it (NFS and its like): keys are used once, so no two ever write one file.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import NoReturn

from leasehold.artifacts.stores import checked
from leasehold.errors import ArtifactStoreAway, ArtifactStoreFull

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""EFBIG is a limit on file sizes: room, as far as anybody who waits is concerned."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderStore:
    """Objects below *root*; with *mark*, only while that lies there: a folder may be unmounted at any time, and what is
    at its path then is another one."""

    def __init__(self, root: str, mark: str = "") -> None:
        self.root, self._mark = root, mark

    def set_up(self) -> None:
        """Make the folder, if there is none. Raises ArtifactStoreAway."""
        try:
            os.makedirs(self.root, mode=0o700, exist_ok=True)
        except OSError as error:
            self._refuse(error)

    def put(self, key: str, data: bytes) -> None:
        try:
            with self._at(key, make=True) as (folder, name):
                try:
                    _write(folder, f"{name}.part", data)
                    os.rename(f"{name}.part", name, src_dir_fd=folder, dst_dir_fd=folder)
                    os.fsync(folder)
                except BaseException:
                    _remove(folder, f"{name}.part", name)
                    raise
        except OSError as error:
            self._refuse(error)

    def get(self, key: str, size: int) -> bytes | None:
        try:
            with self._at(key) as (folder, name), open(os.open(name, READ, dir_fd=folder), "rb") as file:
                return file.read(size + 1)
        except FileNotFoundError:
            self._must_be_there()
            return None
        except OSError as error:
            self._refuse(error)

    def delete(self, key: str) -> None:
        try:
            with self._at(key) as (folder, name):
                _remove(folder, f"{name}.part", name)
        except FileNotFoundError:
            self._must_be_there()
        except OSError as error:
            self._refuse(error)

    def room_bytes(self) -> int | None:
        try:
            found = os.statvfs(self.root)
        except OSError as error:
            self._refuse(error)
        if found.f_files and not found.f_favail:
            return 0  # no file more, however small
        return found.f_bavail * found.f_frsize

    @contextlib.contextmanager
    def _at(self, key: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The open folder in which *key* lies, and its name there."""
        below, _, name = checked(key).rpartition("/")
        with _opened(self.root) as root:
            if self._mark and name != self._mark and not _is_there(root, self._mark):
                raise ArtifactStoreAway(f"The artifact folder {self.root} is not mounted: its mark is not in it.")
            if not below:
                yield root, name
                return
            if make and not _is_there(root, below):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(below, 0o700, dir_fd=root)
                os.fsync(root)
            with _opened(below, root, os.O_NOFOLLOW) as folder:
                yield folder, name

    def _must_be_there(self) -> None:
        """Nothing there: is it a key that is missing, or all of it?"""
        if not os.path.isdir(self.root):
            raise ArtifactStoreAway(f"The artifact folder {self.root} is not there.")

    def _refuse(self, error: OSError) -> NoReturn:
        why = error.strerror or str(error)
        if error.errno in FULL:
            raise ArtifactStoreFull(f"The artifact folder {self.root} has no room left ({why}).") from error
        raise ArtifactStoreAway(f"The artifact folder {self.root} cannot be used: {why}.") from error


def _write(folder: int, name: str, data: bytes) -> None:
    descriptor = os.open(name, NEW, 0o600, dir_fd=folder)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: int, *names: str) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def _opened(path: str, at: int | None = None, flags: int = 0) -> Iterator[int]:
    descriptor = os.open(path, FOLDER | flags, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

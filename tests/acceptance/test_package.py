"""The how-to of a package: its files are built into a wheel, installed beside us, found, tested and worked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_server
PAGE = Path(__file__).parents[2] / "docs/howto/package.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with the package's source (`words`), and installed (`site`)."""
    folder = tmp_path_factory.mktemp("package")
    for name, body in re.findall(
        r"^```\w+\n# (words/\S+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body, "utf-8")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=folder / "words", check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")  # what installing a pure wheel comes to
    return folder


def test_the_packages_own_tests_pass_against_the_installed_package(package):
    environment = os.environ | {
        "PYTHONPATH": str(package / "site"),
        "LEASEHOLD_TEST_SERVERS": "18",
        "PYTEST_ADDOPTS": "",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package / "words/tests")]
    done = subprocess.run(
        command, cwd=package, env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_its_workflow_is_found_by_its_entry_point_and_worked(package, cli, tmp_path):
    cli.environment["PYTHONPATH"] = str(package / "site")
    listed = cli.run("workflow", "list", "--json").json
    assert ([one["id"] for one in listed["workflows"]], listed["mistakes"]) == (["words"], [])
    (tmp_path / "note.txt").write_text("a slate roof")
    done = cli.run("workflow", "run", "words", "--files", tmp_path / "note.txt", "--work", "--processes", "1", "--json")
    assert done.code == 0, done.err
    assert done.json["group"]["succeeded"] == 1

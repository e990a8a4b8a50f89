"""The peers' packages, pinned, in a folder of the bench's own: nothing of them is a dependency of Leasehold.

Python packages go into a virtual environment on the interpreter that runs the bench, Node packages beside it, with the
Node that they want (also a package). What cannot be had is no error: it is left out, and the table says why.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


class Peers:
    """`missing` says for each of `python` and `node` why it could not be had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.missing: dict[str, str] = {}

    @property
    def python(self) -> Path:
        return self.folder / "python/bin/python"

    @property
    def node(self) -> Path:
        return self.folder / "node/node_modules/node/bin/node"

    def install(self, runs_on: set[str]) -> None:
        for name, make, wanted in (
            ("python", self._python, HERE / "peers.txt"),
            ("node", self._node, HERE / "package.json"),
        ):
            if name in runs_on:
                self._once(name, make, wanted)

    def _once(self, name: str, make, wanted: Path) -> None:
        stamp = self.folder / name / "installed"
        mark = f"{sys.version_info[:2]} {wanted.read_text('utf-8')}"
        if stamp.exists() and stamp.read_text("utf-8") == mark:
            return
        print(f"installing the {name} peers into {os.path.relpath(self.folder)} (once)", file=sys.stderr, flush=True)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        try:
            make(wanted)
        except FileNotFoundError as error:
            self.missing[name] = f"{error.filename} is not on PATH"
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout or "").strip().splitlines()
            self.missing[name] = said[-1][:120] if said else str(error)
        else:
            stamp.write_text(mark, "utf-8")

    def _python(self, wanted: Path) -> None:
        self._run(sys.executable, "-m", "venv", self.folder / "python")
        self._run(self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", wanted)

    def _node(self, wanted: Path) -> None:
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError(2, "not found", "npm")
        (self.folder / "node").mkdir(parents=True)
        shutil.copy(wanted, self.folder / "node")
        self._run(npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error",
                  cwd=self.folder / "node")  # fmt: skip
        self._run(self.node, "--version")

    def _run(self, *command: object, cwd: Path | None = None) -> None:
        subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, cwd=cwd)

    def command(self, runs_on: str, script: Path) -> list[str]:
        if runs_on == "node":
            # A module finds its packages beside itself, so the scripts are copied to them.
            for path in script.parent.glob("*.mjs"):
                shutil.copy(path, self.folder / "node")
            return [str(self.node), str(self.folder / "node" / script.name)]
        return [str(self.python) if runs_on == "python" else sys.executable, str(script)]


def versions() -> dict[str, str]:
    """What is installed, as it is pinned."""
    pinned = dict(line.split("==") for line in (HERE / "peers.txt").read_text("utf-8").split())
    pinned |= json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    return {name.split("[")[0]: version for name, version in pinned.items()}

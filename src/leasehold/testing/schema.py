"""The schema as text: what `pg_dump` says of a migrated database, so that a migration shows as a diff.

`python -m leasehold.testing.schema` writes it to src/leasehold/db/schema.sql. Functions are left out there: their files
are the truth, and show their own diffs.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import leasehold.db
from leasehold.db.binaries import find_binaries
from leasehold.testing import clusters
from leasehold.testing.databases import Databases

PATH = Path(leasehold.db.__file__).with_name("schema.sql")
COMMAND = "python -m leasehold.testing.schema"
HEAD = f"-- What the migrations make, as pg_dump says it, functions apart. No program reads it. To refresh: {COMMAND}\n"


def program(name: str) -> Path:
    """One of PostgreSQL's client programs, from the folder of the server's."""
    return find_binaries().bin_dir / name


def dump(url: str, *, functions: bool = True) -> str:
    """Schema `leasehold` of that database, without what differs from call to call."""
    arguments = ["--schema-only", "--schema=leasehold", "--no-owner", f"--dbname={url}"]
    text = subprocess.run([program("pg_dump"), *arguments], capture_output=True, text=True, check=True).stdout
    text = re.sub(
        r"(?m)^(\\(un)?restrict .*|--|-- Dumped (from|by) .*|SET .*|SELECT pg_catalog\.set_config.*)\n", "", text
    )
    parts = re.split(r"(?m)^(?=-- Name: )", text)
    of_function = re.compile(r"-- Name: .*(Type: FUNCTION|FUNCTION .*Type: ACL)")
    kept = [part for part in parts if functions or not of_function.match(part)]
    return re.sub(r"\n{3,}", "\n\n", "".join(kept)).strip() + "\n"


def current(databases: Databases) -> str:
    """The text that schema.sql should have."""
    with databases.clone() as url:
        return HEAD + "\n" + dump(url, functions=False)


def main() -> None:
    databases = Databases(clusters.start())
    PATH.write_text(current(databases), encoding="utf-8")
    databases.close()


if __name__ == "__main__":
    main()

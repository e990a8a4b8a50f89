"""Which database: a URL somebody gave, or the embedded server of a home directory.

`conninfo()` is asked at every connect and every reconnect, so an embedded server that has stopped or died is started
again by whoever needs it next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from leasehold.errors import UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """Exactly one of `url` (libpq URI or key=value string) and `home` is set."""

    url: str | None = None
    home: Path | None = None

    def __post_init__(self) -> None:
        if (self.url is None) == (self.home is None):
            raise UsageError("A database target is either a URL or a home directory.")

    @property
    def embedded(self) -> bool:
        return self.home is not None

    def conninfo(self) -> str:
        """A connection string that works now; starts the embedded server if need be."""
        if self.url is not None:
            return self.url
        from leasehold.db import embedded

        assert self.home is not None
        return embedded.ensure(self.home).url

    def described(self) -> str:
        """The target without its secrets, for people and logs."""
        return redact(self.url) if self.url is not None else f"embedded server in {self.home}"


def redact(conninfo: str) -> str:
    """*conninfo* without its password, in both of libpq's forms."""
    text = re.sub(r"(?<=://)([^:/@\s]*):[^/\s]*@", r"\1:***@", conninfo)
    return re.sub(r"(?i)(password\s*=\s*)('[^']*'|\S+)", r"\1***", text)

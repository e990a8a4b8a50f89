"""Which database: addresses somebody gave, or the embedded server of a home directory.

`url` is the pooled route's address, and that of everything when there is no pooler; `direct_url` leads past the pooler.
Which route is used for what, and what is derived when `direct_url` is not given, is `routes`'.

`conninfo()` is asked at every connect and every reconnect, so an embedded server that has stopped or died is started
again by whoever needs it next. No form of a target prints a password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leasehold.errors import UsageError
from leasehold.logs import redact

__all__ = ["DISABLE_DIRECT", "Target", "redact"]

DISABLE_DIRECT = "LEASEHOLD_DISABLE_DIRECT"
TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Target:
    """Exactly one of `url` (libpq URI or key=value string) and `home` is set.

    `direct_url` goes with `url` only. `disable_direct`: everything takes the pooled route; LEASEHOLD_DISABLE_DIRECT
    says so for a process and all it starts, whatever stands here.
    """

    url: str | None = field(default=None, repr=False)
    home: Path | None = None
    direct_url: str | None = field(default=None, repr=False)
    disable_direct: bool = False

    def __post_init__(self) -> None:
        if (self.url is None) == (self.home is None):
            raise UsageError("A database target is either a URL or a home directory.")
        if self.direct_url is not None and self.url is None:
            raise UsageError(
                "database.direct_url is given without database.url.",
                remedy="Give database.url too (the pooler's address), or give the one address as database.url.",
            )

    @property
    def embedded(self) -> bool:
        return self.home is not None

    @property
    def one_route(self) -> bool:
        """Whether the direct route was switched off by hand."""
        return self.disable_direct or switched_on(os.environ.get(DISABLE_DIRECT))

    def conninfo(self) -> str:
        """The pooled route's connection string, which works now; starts the embedded server if need be."""
        if self.url is not None:
            return self.url
        from leasehold.db import embedded

        assert self.home is not None
        return embedded.ensure(self.home).url

    def described(self) -> str:
        """The target without its secrets, for people and logs."""
        return redact(self.url) if self.url is not None else f"embedded server in {self.home}"

    def as_dict(self) -> dict[str, Any]:
        """For a child process, through a pipe: never on a command line. It has the passwords."""
        home = str(self.home) if self.home else None
        return {"url": self.url, "home": home, "direct_url": self.direct_url, "disable_direct": self.disable_direct}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Target:
        return cls(**{**given, "home": Path(given["home"]) if given.get("home") else None})


def switched_on(value: str | None) -> bool:
    """What a variable that is a switch says; unset is no.

    Raises:
        UsageError: it is neither yes nor no. A switch that is misread is worse than none.
    """
    if value is None:
        return False
    try:
        return TRUTHS[value.strip().lower()]
    except KeyError:
        raise UsageError(f"{DISABLE_DIRECT} is {value!r}; expected 1 or 0.") from None

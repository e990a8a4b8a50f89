"""Methods: the functions that definitions name, found and imported when the definition is checked, not when it runs.

A name is `module:function`, `module.function`, or one that an installed package gives it by an entry point of the group
`leasehold.steps`. Whichever was written, a method is known by `module:function` from then on.

What can fail: importing somebody's module runs it. Whatever it raises becomes a `WrongMethod`, with its own words.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from leasehold.errors import UsageError
from leasehold.workflows.declaring import method_of
from leasehold.workflows.definition import Method
from leasehold.workflows.values import near, unusable

GROUP = "leasehold.steps"


class WrongMethod(ValueError):
    """A method's name leads to no function that can be a step; the message says how far it led."""


def resolve(name: str) -> Method:
    """The method of that name.

    Raises:
        WrongMethod: there is none, or it cannot be a step.
    """
    found = installed().get(name)
    if found is not None:
        try:
            function = found.load()
        except Exception as error:
            raise WrongMethod(f"the method '{name}' of {_package(found)} cannot be imported: {_said(error)}") from error
    else:
        module, attribute = _split(name)
        function = _attribute(_module(module, name), attribute, name)
    return checked(name, function)


def checked(name: str, function: Any) -> Method:
    """*function* as a method, if it can be one. Raises WrongMethod."""
    if not callable(function) or inspect.isclass(function):
        raise WrongMethod(f"the method '{name}' is no function but {type(function).__name__} {function!r:.60}")
    try:
        method = method_of(function)
    except UsageError as error:
        raise WrongMethod(f"the method '{name}': {error.message}") from error
    if method.parameters is not None and (reason := unusable(method.parameters)):
        raise WrongMethod(f"the method '{name}': {reason}")
    if not _takes_one(function):
        raise WrongMethod(
            f"the method '{name}' must take one argument, its context; it is {name}{inspect.signature(function)}"
        )
    return method


def importable(name: str) -> None:
    """Whether `module:function` leads to a function, of whatever arguments. Raises WrongMethod."""
    module, attribute = _split(name)
    if not callable(_attribute(_module(module, name), attribute, name)):
        raise WrongMethod(f"'{name}' is no function")


def is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function)


@cache
def installed() -> dict[str, Any]:
    """The entry points of the group, by name."""
    from importlib.metadata import entry_points

    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def _split(name: str) -> tuple[str, str]:
    module, colon, attribute = name.partition(":")
    if not colon:
        module, _, attribute = name.rpartition(".")
    if not module or not attribute or not all(part.isidentifier() for part in f"{module}.{attribute}".split(".")):
        raise WrongMethod(f"the method '{name}' is not known; write module:function{near(name, installed())}")
    return module, attribute


def _module(module: str, name: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            raise WrongMethod(f"the method '{name}' is not known: there is no module '{error.name}'"
                              f"{near(name, installed()) if installed() else ''}") from error  # fmt: skip
        raise WrongMethod(f"the module of the method '{name}' cannot be imported: {_said(error)}") from error
    except Exception as error:
        raise WrongMethod(f"the module of the method '{name}' cannot be imported: {_said(error)}") from error


def _attribute(module: ModuleType, attribute: str, name: str) -> Any:
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            own = [one for one, value in vars(found).items() if inspect.isroutine(value) and not one.startswith("_")
                   and getattr(value, "__module__", None) == module.__name__]  # fmt: skip
            raise WrongMethod(
                f"the method '{name}' is not known: {module.__name__} has no '{attribute}'{near(part, own)}"
            )
        found = getattr(found, part)
    return found


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # built in: nobody can say
        return True
    return True


def _package(point: Any) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"

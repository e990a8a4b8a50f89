"""Values: parameters as a step declares them (a frozen dataclass), built from what people write.

Nothing is guessed: "3" is no number, 1 is no truth, an unknown key names the near one. Every mistake of a mapping is
found in one go. What was built goes back to plain JSON with its defaults written out, so that two ways of writing the
same parameters are equal.

Pure: no files, no database.
"""

from __future__ import annotations

import enum
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin

import orjson

Mistake = tuple[tuple[str, ...], str]
"""Where, as keys from the outside inwards, and what is wrong there."""


class WrongValue(ValueError):
    """A value that does not fit. `where` leads to it from the value that was being built."""

    def __init__(self, message: str, where: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.where = where


def build(kind: type | None, given: Mapping[str, Any]) -> tuple[Any, list[Mistake]]:
    """The instance of the dataclass *kind* that *given* describes, or None and all that is wrong with it.

    A *kind* of None takes no parameters at all.
    """
    if kind is None:
        return None, [((name,), "this step takes no parameters") for name in given]
    hints = typing.get_type_hints(kind)
    known = {one.name: one for one in fields(kind) if one.init}
    mistakes: list[Mistake] = [((name,), f"unknown parameter '{name}'{near(name, known)}")
                               for name in given if name not in known]  # fmt: skip
    values = {}
    for name, one in known.items():
        if name in given:
            try:
                values[name] = convert(hints[name], given[name])
            except WrongValue as error:
                mistakes.append(((name, *error.where), str(error)))
        elif not _has_default(one):
            mistakes.append(((), f"the parameter '{name}' is missing: {told(hints[name])}"))
    if mistakes:
        return None, mistakes
    try:
        return kind(**values), []
    except Exception as error:  # its own __post_init__ refuses
        said = getattr(error, "message", None) or str(error) or type(error).__name__
        return None, [((), str(said))]


def plain(instance: Any) -> dict[str, Any]:
    """The parameters of an instance as JSON has them, defaults included; {} of None."""
    if instance is None:
        return {}
    return {one.name: _plain(getattr(instance, one.name)) for one in fields(instance) if one.init}


def canonical(value: Any) -> bytes:
    """One text for equal values, whatever the order of their keys."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def unusable(kind: type) -> str | None:
    """Why *kind* cannot declare parameters; None when it can."""
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return f"parameters={kind!r} is no dataclass"
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return f"the parameters {kind.__name__} can be changed; declare them with @dataclass(frozen=True)"
    try:
        hints = typing.get_type_hints(kind)
    except Exception as error:  # a name that is not there, in somebody's annotation
        return f"the annotations of {kind.__name__} cannot be read: {error}"
    for one in fields(kind):
        if reason := _unusable_hint(hints[one.name]):
            return f"{kind.__name__}.{one.name}: {reason}"
    return None


def from_text(kind: type | None, path: Sequence[str], text: str) -> Any:
    """What somebody meant who wrote *text* for the parameter at *path*: itself where it fits, else as JSON."""
    hint: Any = kind
    for name in path:
        hints = typing.get_type_hints(hint) if isinstance(hint, type) and is_dataclass(hint) else {}
        hint = hints.get(name, Any)
    if hint is not Any:
        try:
            convert(hint, text)
        except WrongValue:
            pass
        else:
            return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def near(name: str, known: Any) -> str:
    """` Did you mean …` for a name that is nearly one of *known*, else those there are."""
    names = sorted(known)
    found = get_close_matches(name, names, n=1)
    if found:
        return f"; did you mean '{found[0]}'?"
    return f"; there are: {', '.join(names)}" if names else ""


def told(hint: Any) -> str:  # noqa: PLR0911 - one line a kind of type
    """What is expected, for people."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return "any value"
    if origin is Literal:
        return "one of " + ", ".join(repr(one) for one in args)
    if origin in (Union, types.UnionType):
        return " or ".join(told(one) for one in args)
    if hint is type(None):
        return "null"
    if origin in (tuple, list) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return f"a list of {told(args[0])}" if args else "a list"
    if origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return f"a mapping to {told(args[1])}"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "one of " + ", ".join(repr(one.value) for one in hint)
    simple = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return simple.get(hint) or ("a mapping of " if is_dataclass(hint) else "") + getattr(hint, "__name__", "?")


# -- one value --------------------------------------------------------------------------------------------------------


def convert(hint: Any, value: Any) -> Any:  # noqa: PLR0911 - one line a kind of type
    """*value* as *hint* wants it. Raises WrongValue."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if hint is None or hint is type(None):
        return _expect(value is None, hint, value)
    if origin is Literal:
        return _expect(any(value == one and type(value) is type(one) for one in args), hint, value)
    if origin in (Union, types.UnionType):
        return _first_that_fits(hint, args, value)
    if hint is bool:
        return _expect(isinstance(value, bool), hint, value)
    if hint is int:
        return _expect(isinstance(value, int) and not isinstance(value, bool), hint, value)
    if hint is float:
        _expect(isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value), hint, value)
        return float(value)
    if hint is str:
        return _expect(isinstance(value, str), hint, value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _member(hint, value)
    if isinstance(hint, type) and issubclass(hint, PurePath):
        return hint(_expect(isinstance(value, str), str, value))
    if isinstance(hint, type) and is_dataclass(hint):
        return _nested(hint, value)
    if _is_mapping(hint, origin):
        _expect(isinstance(value, Mapping) and all(isinstance(key, str) for key in value), hint, value)
        return {key: _within(key, args[1] if args else Any, one) for key, one in value.items()}
    _expect(isinstance(value, (list, tuple)), hint, value)
    made = [_within(str(ix), args[0] if args else Any, one) for ix, one in enumerate(value)]
    return made if origin is list or hint is list else tuple(made)


def _expect(fits: bool, hint: Any, value: Any) -> Any:
    if not fits:
        raise WrongValue(f"expected {told(hint)}, got {value!r}")
    return value


def _first_that_fits(hint: Any, args: tuple[Any, ...], value: Any) -> Any:
    for one in args:
        try:
            return convert(one, value)
        except WrongValue:
            continue
    raise WrongValue(f"expected {told(hint)}, got {value!r}")


def _member(hint: type[enum.Enum], value: Any) -> enum.Enum:
    for one in hint:
        if one.value == value and type(one.value) is type(value):
            return one
    raise WrongValue(f"expected {told(hint)}, got {value!r}")


def _nested(hint: type, value: Any) -> Any:
    _expect(isinstance(value, Mapping), hint, value)
    made, mistakes = build(hint, value)
    if mistakes:
        where, message = mistakes[0]
        raise WrongValue(message, where)
    return made


def _within(key: str, hint: Any, value: Any) -> Any:
    try:
        return convert(hint, value)
    except WrongValue as error:
        raise WrongValue(str(error), (key, *error.where)) from None


def _is_mapping(hint: Any, origin: Any) -> bool:
    return hint is dict or origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping))


def _has_default(one: Field[Any]) -> bool:
    return one.default is not MISSING or one.default_factory is not MISSING


def _unusable_hint(hint: Any) -> str | None:
    for one in _leaves(hint):
        if one in (Any, None, type(None), bool, int, float, str, dict, list, tuple):
            continue
        if isinstance(one, type) and issubclass(one, (enum.Enum, PurePath)):
            continue
        if isinstance(one, type) and is_dataclass(one):
            if reason := unusable(one):
                return reason
            continue
        return f"a parameter cannot be a {getattr(one, '__name__', one)}; use bool, int, float, str, Path, Literal, " \
               "an Enum, tuple[…, ...], dict[str, …] or another frozen dataclass"  # fmt: skip
    return None


def _leaves(hint: Any) -> Iterator[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return
    if origin is tuple and (len(args) != 2 or args[1] is not Ellipsis):
        yield origin if not args else hint
    elif origin is None:
        yield hint
    elif origin in (Union, types.UnionType, tuple, list, dict) or (
        isinstance(origin, type) and issubclass(origin, (Sequence, Mapping))
    ):
        for one in args:
            if one is not Ellipsis:
                yield from _leaves(one)
    else:
        yield hint


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return plain(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value

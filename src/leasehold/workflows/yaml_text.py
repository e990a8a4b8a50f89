"""YAML as people write definitions: plain values with the line of each, and nothing that surprises.

The safe part of PyYAML finds the structure; what a word means is ours, as in YAML 1.2: only true, false, null and
numbers are anything but text, so that a key `on` and a country `no` stay what they are. Refused, with their line: the
same key twice, tags, merges, a file that unfolds without end.

What can fail: the extra `yaml` is not installed; then every YAML file is one mistake that says how to install it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

NODES_MAX = 20_000
"""Of one file, aliases unfolded: a definition has some hundred."""
DEPTH_MAX = 32
BYTES_MAX = 1_000_000
MISSING = "YAML cannot be read here; install it with: pip install 'leasehold[yaml]'"

INT = re.compile(r"[-+]?[0-9]+\Z")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
WORDS: dict[str, Any] = {"": None, "~": None, **dict.fromkeys(("null", "Null", "NULL")),
                         **dict.fromkeys(("true", "True", "TRUE"), True),
                         **dict.fromkeys(("false", "False", "FALSE"), False)}  # fmt: skip
TAGGED = re.compile(r"(&\S+\s+)?!")


@dataclass(slots=True)
class Text:
    """One file: its value, the line (from 1) of every key and entry by their path, and what is wrong with it."""

    value: Any = None
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)
    mistakes: list[tuple[int, str]] = field(default_factory=list)


def parse(text: str) -> Text:
    """Read one document."""
    try:
        import yaml
    except ImportError:
        return Text(mistakes=[(0, MISSING)])
    if len(text) > BYTES_MAX:
        return Text(mistakes=[(0, f"it is larger than {BYTES_MAX:,} characters, which no definition is")])
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        return Text(mistakes=[(mark.line + 1 if mark is not None else 0, f"this is no YAML: {said}")])
    except RecursionError:
        return Text(mistakes=[(0, "it is nested too deeply")])
    read = _Reading(yaml, text)
    if node is not None:
        read.text.value = read.value(node, ())
    return read.text


class _Reading:
    def __init__(self, yaml: Any, whole: str) -> None:
        self._whole = whole
        self.text = Text()
        self._yaml = yaml
        self._left = NODES_MAX

    def value(self, node: Any, path: tuple[str, ...]) -> Any:
        line = node.start_mark.line + 1
        self.text.lines.setdefault(path, line)
        self._left -= 1
        if self._left <= 0 or len(path) > DEPTH_MAX:
            if self._left > -NODES_MAX:
                self.text.mistakes.append((line, "it unfolds to more than a definition can be"))
                self._left = -NODES_MAX
            return None
        if TAGGED.match(self._whole[node.start_mark.index : node.start_mark.index + 300]):
            self.text.mistakes.append((line, "tags that begin with ! are not used here; put a text into quotes"))
        if isinstance(node, self._yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, self._yaml.SequenceNode):
            return [self.value(one, (*path, str(ix))) for ix, one in enumerate(node.value)]
        return node.value if node.style is not None else _scalar(node.value)

    def _mapping(self, node: Any, path: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, inner in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, self._yaml.ScalarNode):
                self.text.mistakes.append((line, "a key must be a word"))
                continue
            if key.value in found:
                first = self.text.lines[(*path, key.value)]
                self.text.mistakes.append(
                    (line, f"the key '{key.value}' stands here a second time; first in line {first}")
                )
                continue
            self.text.lines[(*path, key.value)] = line
            found[key.value] = self.value(inner, (*path, key.value))
        return found


def _scalar(word: str) -> Any:
    """What a word without quotes means."""
    if word in WORDS:
        return WORDS[word]
    if INT.match(word) and len(word) < 20:
        return int(word)
    return float(word) if FLOAT.match(word) else word

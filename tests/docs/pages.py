"""Pages that can be run: the console blocks of a Markdown file, in order, compared with what really comes out.

In a ```console block a line that starts with `$ ` is a command, lines with `> ` continue it, and what follows is its
output: standard output and standard error together. In the output `…` stands for anything within a line, and a line
`…` for any number of lines. Seconds, times, digests and process numbers are not compared. A block that
begins with `# NAME.py` (or .toml, .yaml) is a file of the reader's, written under that name. Blocks of other languages
are not run.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^# ([\w/]+\.(?:py|toml|yaml))\n")
PROGRESS = re.compile(r"^[\d,]+ of [\d,]+ documents: .*\n", re.MULTILINE)
VARIES = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.\d+:]*"), "(time)"),
    (re.compile(r"\b\d+(?:\.\d+)? m?s\b"), "(seconds)"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "(digest)"),
    (re.compile(r"\bpid \d+"), "pid (number)"),
    (re.compile(r"\bworker \d+ (died|started|ended)"), r"worker (number) \1"),
)


@dataclass
class Command:
    """One command of a page, with the output that the page promises."""

    line: str
    expected: list[str] = field(default_factory=list)


@dataclass
class Written:
    """A file of the reader's."""

    name: str
    text: str


def steps(text: str) -> Iterator[Command | Written]:
    """What a reader of this page does, in order."""
    for language, body in FENCE.findall(text):
        if language == "console" and body.startswith("$ "):
            yield from _commands(body)
        elif language in ("python", "toml", "yaml") and (named := FILE.match(body)):
            yield Written(named[1], body)


def _commands(body: str) -> Iterator[Command]:
    command: Command | None = None
    for line in body.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command
            command = Command(line[2:])
        elif command is not None and (line == ">" or line.startswith("> ")) and not command.expected:
            command.line += "\n" + line[2:]
        elif command is not None:
            command.expected.append(line)
    if command is not None:
        yield command


def run(line: str, folder: Path, environment: Mapping[str, str]) -> str:
    """The output of a command line in a shell, without progress."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return PROGRESS.sub("", done.stdout)


def agrees(expected: list[str], actual: str) -> bool:
    """Whether *actual* is what the page says."""
    lines = [_plain(line.rstrip()) for line in expected]
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*?") + r"[ \t]*\n" for line in lines
    )
    found = _plain(actual if actual.endswith("\n") or not actual else actual + "\n")
    return re.fullmatch(pattern, found) is not None


def _plain(text: str) -> str:
    for pattern, word in VARIES:
        text = pattern.sub(word, text)
    return text

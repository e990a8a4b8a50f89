"""What the documentation and the program name exists: links, commands, options, settings, errors, events, words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from leasehold import errors
from leasehold.cli.app import COMMANDS, cli
from leasehold.cli.config import PLAIN, SECTIONS
from leasehold.kernel.hooks import EVENTS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/leasehold"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PRINTING = ("cli", "claims", "db", "doctor", "documents", "sources")
HINTS = [
    SOURCE / "errors.py",
    SOURCE / "kernel/why.py",
    *(one for name in PRINTING for one in SOURCE.glob(f"{name}/*.py")),
]
COMMAND = re.compile(r"(?<![\w./-])(?<!schema )leasehold +([a-z]+(?: +[^`\n|;)]*)?)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
ANYBODYS = {"--help", "--version"}


def read(path: str | Path) -> str:
    return (ROOT / path).read_text("utf-8")


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli, info_name="leasehold")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())


KNOWN = dict(commands())


def options(command: click.Command) -> set[str]:
    return ANYBODYS | {name for param in command.params for name in param.opts}


def mistakes(text: str) -> list[str]:
    """Commands and options in *text* that do not exist."""
    found = []
    for said in COMMAND.findall(text):
        words = re.sub("[\"',:.]+(?=\\s|$)", "", said).split()
        name = words[0]
        command = KNOWN.get(name)
        by_itself = isinstance(command, click.Group) and command.invoke_without_command
        inner = words[1:] and words[1] in getattr(command, "commands", {})
        if isinstance(command, click.Group) and (inner or not by_itself):
            name = " ".join(words[:2])
            command = KNOWN.get(name)
        if command is None and name.endswith("…"):
            continue
        if command is None:
            found.append(f"there is no command: leasehold {said}")
            continue
        found += [
            f"{name} has no {one}: leasehold {said}" for one in OPTION.findall(said) if one not in options(command)
        ]
    return found


def spans(text: str) -> str:
    """What a page sets as code: spans and blocks; prose may use the word leasehold freely."""
    found = re.findall(r"^```\w*\n.*?^```$|`[^`\n]+`", text, re.MULTILINE | re.DOTALL)
    return "\n".join(one for one in found if not one.startswith("```python"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_documentation_exists(page: Path):
    assert not mistakes(spans(page.read_text("utf-8")))


@pytest.mark.parametrize("source", HINTS, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_command_that_the_program_recommends_exists(source: Path):
    text = source.read_text("utf-8")
    if (
        source.parent.name != "cli" and source.name != "errors.py"
    ):  # elsewhere the word names connections and locks, too
        text = "\n".join(line for line in text.splitlines() if "remedy" in line or "`" in line or "_ready" in line)
    assert not mistakes("\n".join(line for line in text.splitlines() if "application_name" not in line))


def test_every_option_that_an_error_recommends_exists():
    every = {name for command in KNOWN.values() for name in options(command)}
    assert set(OPTION.findall(read("src/leasehold/errors.py"))) <= every


def test_the_check_of_commands_notices_a_mistake():
    assert not mistakes("run `leasehold retry --failed` or leasehold db status --json")
    assert mistakes("leasehold retrry")
    assert mistakes("leasehold retry --fialed")
    assert mistakes("leasehold db stats")


def test_every_word_of_the_glossary_is_used():
    words = re.findall(r"^\*\*([^*]+)\*\*", read("docs/glossary.md"), re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    others = [page for page in PAGES if page.name != "glossary.md"]
    used = " ".join(
        path.read_text("utf-8") for path in [*others, *SOURCE.rglob("*.py"), *SOURCE.rglob("*.sql")]
    ).lower()
    assert len(words) > 30
    assert [word for word in words if word.lower() not in used] == []


def test_every_event_that_the_kernel_can_write_is_documented_and_no_other():
    """Method: the names that inserts into the outbox begin with, and lifecycle names in functions that tell."""
    raised = set()
    for path in (SOURCE / "kernel/sql").glob("*.sql"):
        text = re.sub("--.*", "", path.read_text("utf-8"))
        inserts = re.findall(r"insert into leasehold\.event \([^)]*\)(.*?);", text, re.DOTALL)
        raised |= {name for one in inserts for name in re.findall(r"^\s*(?:select|values \()\s*'([a-z_]+)'", one)}
        if inserts or "leasehold.tell(" in text:
            raised |= set(re.findall(r"'((?:group|run|step)_(?:start|end|failed))'", text))
    told = set(re.findall(r"^\| `([a-z_]+)` \|", read("docs/reference/events.md"), re.MULTILINE))
    assert set(EVENTS) <= raised
    assert told == raised


def test_every_error_code_is_documented():
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.LeaseholdError)]
    page = read("docs/reference/errors.md")
    assert [kind.code for kind in kinds if f"| `{kind.code}` |" not in page] == []


def test_every_setting_and_variable_is_documented():
    page = read("docs/reference/settings.md")
    keys = [f"{name}.{one.name}" for name, kind in SECTIONS.items() for one in fields(kind)]
    assert [name for name in [*keys, *PLAIN] if f"`{name}`" not in page] == []


def test_every_table_and_column_is_documented():
    """A table that people may read is described with the columns that the migrations give it."""
    page = read("docs/reference/tables.md")
    for path in sorted((SOURCE / "db/migrations").glob("*.sql")):
        for name, body in re.findall(r"^create table leasehold\.(\w+) \((.*?)^\)", path.read_text(), re.M | re.S):
            columns = re.findall(r"^    (\w+) +(?!key\b)\S", body, re.MULTILINE)
            columns = [one for one in columns if one not in ("primary", "unique", "check", "foreign")]
            described = re.search(rf"^### {name}\n(.*?)(?=^##)", page + "\n##", re.MULTILINE | re.DOTALL)
            assert described, f"tables.md does not describe {name}"
            assert [one for one in columns if f"`{one}`" not in described[1]] == [], name

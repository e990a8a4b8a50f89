"""The script's text: names are quoted for where they stand, and what cannot be quoted safely is refused."""

from __future__ import annotations

import re

import pytest

from leasehold.claims import script
from leasehold.errors import UsageError


def of(**changes: object) -> script.Claims:
    return script.of(**({"table": "public.thoughts", "id": "id", "id_type": "uuid", "name": "thought"} | changes))


def test_names_are_read_as_sql_reads_them():
    assert script.identifiers('Public."My ""Table"', "--table") == ["public", 'My "Table']
    assert of(table="thoughts").schema == "public"
    assert of(table='"A.B".c$1').schema == "A.B"


@pytest.mark.parametrize(
    "changes",
    [
        {"table": "a.b.c"}, {"table": "a b"}, {"table": "thoughts; drop table x"}, {"table": ""}, {"table": "a."},
        {"table": '"open'}, {"table": '""'}, {"table": '"a\nb"'}, {"table": '"a\u2028b"'}, {"table": '"a$leasehold$b"'},
        {"table": "x" * 64}, {"id": "a.b"}, {"content": ("a.b",)}, {"id_type": "int[]"}, {"id_type": "uuid; drop"},
        {"name": "Thought"}, {"name": "a'b"}, {"name": "t" * 25}, {"name": ""}, {"attempts_max": 0},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_name_or_type_is_refused(changes: dict):
    with pytest.raises(UsageError):
        of(**changes)


def test_the_script_has_no_place_left_and_its_rollback_is_comments():
    text = script.printed(of(content=("body",)))
    assert not re.search(r"\{\{", text)
    after = text[text.index("\ncommit;") + 9 :]
    assert all(line.startswith("--") or not line for line in after.splitlines())
    assert len(text.splitlines()) > 400


def test_the_longest_names_fit_postgresql():
    claims = of(name="t" * script.NAME_MAX)
    names = [one.split(".")[1].split("(")[0] for one in script.functions(claims)]
    text = script.printed(claims)
    names += re.findall(r"\b\w*t{24}\w*\b", text)
    assert max(map(len, names)) <= script.IDENTIFIER_MAX_BYTES


def test_every_function_of_the_script_is_in_the_list_that_rights_are_given_by():
    text = script.install(of())
    made = set(re.findall(r"^create or replace function public\.(\w+)", text, re.MULTILINE))
    assert made == {one.split(".")[1].split("(")[0] for one in script.functions(of())}

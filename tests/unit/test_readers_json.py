"""Notebooks and chat exports: JSON that is read as what it holds, and as JSON when it holds something else."""

from __future__ import annotations

import json

from leasehold.steps import media
from leasehold.steps.detection import detect
from leasehold.steps.reading import read
from leasehold.types import Parsed


def parse(body: object, name: str) -> Parsed:
    data = json.dumps(body).encode()
    return read(data, media_type=detect(name, data), name=name)


def outline(parsed: Parsed) -> list[tuple[object, ...]]:
    return [(block.place, block.line, block.heading, block.text) for block in parsed.blocks]


def test_a_notebook_has_cells_text_as_markdown_code_with_what_it_printed():
    cells = [
        {"cell_type": "markdown", "source": ["# Analysis\n", "\n", "of rents\n", "## Data\n", "here"]},
        {"cell_type": "code", "source": "rents.mean()", "outputs": [
            {"output_type": "stream", "text": ["loading\n"]},
            {"output_type": "execute_result", "data": {"text/plain": ["1025.0"], "image/png": "iVBORw0KGgo="}},
        ]},
        {"cell_type": "code", "source": [], "outputs": []},
        {"cell_type": "code", "source": "1/0", "outputs": [
            {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero", "traceback": ["…"]},
        ]},
        {"cell_type": "raw", "source": "raw words"},
        "no cell",
    ]  # fmt: skip
    parsed = parse({"cells": cells, "nbformat": 4, "metadata": {}}, "a.ipynb")
    assert parsed.title == "Analysis"
    assert outline(parsed) == [
        ((("cell", 1),), 1, ("Analysis",), "# Analysis\n\nof rents"),
        ((("cell", 1),), 4, ("Analysis", "Data"), "## Data\nhere"),
        ((("cell", 2),), 1, ("Analysis", "Data"), "rents.mean()\nloading\n1025.0"),
        ((("cell", 4),), 1, ("Analysis", "Data"), "1/0\nZeroDivisionError: division by zero"),
        ((("cell", 5),), 1, ("Analysis", "Data"), "raw words"),
    ]


def test_a_notebook_of_before_version_4_is_read_too():
    sheet = {"cells": [{"cell_type": "heading", "source": ["Old"]}, {"cell_type": "code", "input": ["x = 1"]}]}
    assert [block.text for block in parse({"worksheets": [sheet]}, "a.ipynb").blocks] == ["# Old", "x = 1"]


def test_json_that_only_has_the_name_of_a_notebook_is_read_as_json():
    parsed = parse({"not": "a notebook"}, "a.ipynb")
    assert parsed.blocks[0].text == "not: a notebook"
    assert parsed.notes == ("read as JSON: it is no notebook",)


def tree() -> list[object]:
    def node(name: str, parent: str | None, role: str, *parts: object) -> dict[str, object]:
        message = {"author": {"role": role}, "create_time": 1_700_000_000.5, "content": {"parts": list(parts)}}
        return {"id": name, "parent": parent, "children": [], "message": message if parts else None}

    nodes = [
        node("root", None, "system"), node("a", "root", "user", "Which roof?"),
        node("b", "a", "assistant", "abandoned"),
        node("c", "a", "assistant", "Slate.\nIt lasts.", {"content_type": "image_asset_pointer"}),
    ]  # fmt: skip
    return [{"title": "Roof", "create_time": 1.0, "mapping": {str(one["id"]): one for one in nodes},
             "current_node": "c"}]  # fmt: skip


def test_a_chatgpt_export_is_read_along_the_branch_that_was_last_shown():
    parsed = parse(tree(), "conversations.json")
    assert parsed.title == "Roof"
    assert outline(parsed) == [
        ((("conversation", 1),), 1, ("Roof",), "user (2023-11-14 22:13):\nWhich roof?"),
        ((("conversation", 1),), 4, ("Roof",), "assistant (2023-11-14 22:13):\nSlate.\nIt lasts."),
    ]


def test_a_tree_that_runs_in_a_circle_ends():
    body = tree()
    body[0]["mapping"]["a"]["parent"] = "c"  # type: ignore[index]
    assert len(parse(body, "conversations.json").blocks) == 2


def test_a_slack_day_names_its_speakers():
    rows = [
        {"type": "message", "user": "U1", "text": "hello", "ts": "1700000000.000100",
         "user_profile": {"real_name": "Ada"}},
        {"type": "message", "user": "U2", "text": "", "ts": "1700000001.000100"},
        {"type": "message", "user": "U2", "text": "there", "ts": "1700000060.000100"},
    ]  # fmt: skip
    assert [block.text for block in parse(rows, "2023-11-14.json").blocks] == [
        "Ada (2023-11-14 22:13):\nhello",
        "U2 (2023-11-14 22:14):\nthere",
    ]


def test_lists_of_role_and_content_are_read_alone_or_under_messages():
    rows = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "why?"},
        {"role": "assistant", "content": [{"type": "text", "text": "because"}, {"type": "image_url"}]},
    ]
    for body in (rows, {"messages": rows}, [{"title": "", "messages": rows}]):
        data = json.dumps(body).encode()
        assert detect("chat.json", data) == media.CHAT, body
        assert [block.text for block in parse(body, "chat.json").blocks] == ["user:\nwhy?", "assistant:\nbecause"]


def test_json_that_begins_like_a_chat_and_is_none_is_read_as_json():
    data = b'{"role": "user", "content": "x"'
    parsed = read(b'[{"role": "user", "name": "x"}]', media_type=detect("a.json", data), name="a.json")
    assert parsed.notes[-1].startswith("read as JSON")
    assert "name: x" in parsed.blocks[0].text
    assert detect("a.json", b'{"roles": ["user"], "title": "x"}') == "application/json"

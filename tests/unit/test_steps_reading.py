"""Each reader gives the text of its format with the lines and headings it stands at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.steps.detection import TEXTS
from leasehold.steps.reading import read, reader_version
from leasehold.types import ErrorClass, Parsed, StepError

PYTHON = "text/x-source; language=python"


def parse(text: str | bytes, media_type: str) -> Parsed:
    return read(text.encode() if isinstance(text, str) else text, media_type=media_type, name="file")


def attempt(data: bytes, media_type: str) -> tuple[Parsed, StepError | None]:
    try:
        return parse(data, media_type), None
    except StepError as error:
        return Parsed(()), error


def outline(parsed: Parsed) -> list[tuple[int, tuple[str, ...], str]]:
    return [(block.line, block.heading, block.text) for block in parsed.blocks]


# -- every reader -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", sorted({*TEXTS, PYTHON, "text/x-source; language=go"}))
@pytest.mark.parametrize("data", [b"", b"\n", b" \t\r\n\n ", b"\xef\xbb\xbf", b"\x00\x00"])
def test_a_file_without_text_has_no_blocks(media_type, data):
    assert parse(data, media_type).blocks == ()


@pytest.mark.parametrize("media_type", sorted({*TEXTS, PYTHON, "text/x-source; language=go"}))
@given(data=st.binary(max_size=200) | st.text(alphabet="<!-->/ha1\"'=&;\n[]{},:#` |", max_size=200).map(str.encode))
def test_no_content_breaks_a_reader_except_as_damage_with_a_remedy(media_type, data):
    parsed, failure = attempt(data, media_type)
    if failure is not None:
        assert media_type == "application/json"
        assert (failure.reason, failure.error_class) == ("damaged", ErrorClass.PERMANENT)
        assert failure.remedy
    lines = 1 + data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n")
    for block in parsed.blocks:
        assert block.text.strip()
        assert 1 <= block.line <= block.line + block.text.count("\n") <= lines


def test_a_type_without_a_reader_is_refused():
    with pytest.raises(StepError) as refused:
        parse(b"\x89PNG", "image/png")
    assert refused.value.reason == "no reader for the type"


def test_the_reader_version_names_the_reader_and_the_language():
    assert reader_version("text/markdown") == "markdown/1"
    assert reader_version(PYTHON) == "source/1/python"
    assert reader_version("application/jsonl") == reader_version("application/json")


def test_what_decoding_noted_is_kept():
    assert parse("Größe".encode("latin-1"), "text/plain").notes == ("decoded as cp1252: not valid UTF-8",)


def test_a_very_long_line_is_read_as_it_is():
    text = "word " * 200_000
    assert parse(text, "text/plain").blocks[0].text == text


# -- Markdown ---------------------------------------------------------------------------------------------------------


def test_markdown_headings_make_a_path_and_each_section_knows_its_line():
    parsed = parse("intro\n\n# Leases\nA lease.\n\n## Ends #\n\nIt ends.\n### Deep\nx\n# Seats\ny\n", "text/markdown")
    assert outline(parsed) == [
        (1, (), "intro"),
        (3, ("Leases",), "# Leases\nA lease."),
        (6, ("Leases", "Ends"), "## Ends #\n\nIt ends."),
        (9, ("Leases", "Ends", "Deep"), "### Deep\nx"),
        (11, ("Seats",), "# Seats\ny"),
    ]
    assert parsed.title == "Leases"


def test_setext_headings_count_and_rules_and_lists_do_not():
    parsed = parse(
        "Title\n=====\ntext\n\nSub\non two\n---\nmore\n\n---\n\n- item\n---\n> q\n---\nend\n", "text/markdown"
    )
    assert [(block.line, block.heading) for block in parsed.blocks] == [
        (1, ("Title",)),
        (5, ("Title", "Sub on two")),
    ]


def test_a_number_sign_inside_a_fence_or_a_comment_is_no_heading():
    text = "# A\n```sh\n# no\n\n~~~\n```\n## B\n~~~~\n# no\n~~~\n# no\n~~~~\n<!--\n# no\n-->\n# C\n#no\n"
    parsed = parse(text, "text/markdown")
    assert [block.heading for block in parsed.blocks] == [("A",), ("A",), ("A", "B"), ("A", "B"), ("A", "B"), ("C",)]
    assert [block.line for block in parsed.blocks] == [1, 2, 7, 8, 13, 16]


def test_a_fence_that_is_never_closed_ends_with_the_file():
    assert [block.line for block in parse("a\n\n```\n# x\n# y", "text/markdown").blocks] == [1, 3]


def test_front_matter_is_text_and_gives_the_title():
    parsed = parse('---\ntitle: "The lease"\ntags: [a]\n---\n\n# Heading\n', "text/markdown")
    assert parsed.title == "The lease"
    assert [(block.line, block.heading) for block in parsed.blocks] == [(1, ()), (6, ("Heading",))]


def _headings_of_a_real_parser(text: str) -> list[tuple[int, str]]:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(text)
    return [
        (token.map[0] + 1, " ".join(tokens[at + 1].content.split()))
        for at, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.map and tokens[at + 1].content
    ]


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("*.md")), ids=lambda path: path.name)
def test_the_headings_of_real_documents_are_those_a_real_parser_finds(path):
    text = path.read_text()
    blocks = parse(text, "text/markdown").blocks
    found = [
        (block.line, block.heading[-1])
        for block, before in zip(blocks, [None, *blocks], strict=False)
        if block.heading and (before is None or block.heading != before.heading)
    ]
    assert found == _headings_of_a_real_parser(text)


@given(
    st.lists(
        st.sampled_from(["# one", "## two ##", "text", "", "===", "---", "```", "~~~", "a # b", "#no", "    # code"]),
        max_size=12,
    )
)
def test_the_heading_lines_of_generated_documents_are_those_a_real_parser_finds(lines):
    text = "\n".join(["x", "", *lines])
    starts = {block.line for block in parse(text, "text/markdown").blocks}
    assert {line for line, _ in _headings_of_a_real_parser(text)} <= starts


# -- source -----------------------------------------------------------------------------------------------------------

CODE = '''\
"""Doc with
def not_me(): in it."""
import os

class Lease:
    ttl = 30

    @property
    @cache(
        size=1,
    )
    def end(self):
        def inner():
            pass
        return """
def nor_me():
"""

    grace = 1

async def main(
    argument,
):
    pass

if __name__ == "__main__":
    main()
'''


def test_python_blocks_are_definitions_with_their_path():
    assert [(block.line, block.heading) for block in parse(CODE, PYTHON).blocks] == [
        (1, ()),
        (5, ("Lease",)),
        (8, ("Lease", "end")),
        (19, ("Lease",)),
        (21, ("main",)),
        (26, ()),
    ]


def test_python_blocks_are_slices_that_together_are_the_file():
    blocks = parse(CODE, PYTHON).blocks
    assert "".join("".join(block.text.split()) for block in blocks) == "".join(CODE.split())
    for block in blocks:
        assert CODE.split("\n")[block.line - 1] == block.text.split("\n")[0]


def test_a_syntax_error_does_not_hide_the_functions_after_it():
    parsed = parse("def a(:\n    x = 'open\n    ) }\n\nclass B\n  def c(self): <<<<\n\ndef d(): pass\n", PYTHON)
    assert [block.heading for block in parsed.blocks] == [("a",), ("B",), ("B", "c"), ("d",)]


def test_languages_with_braces_are_cut_at_definitions_in_the_first_column():
    text = "use x;\n\npub struct Lease {\n    ttl: u8,\n}\n\nimpl Lease {\n    fn end() {\n    }\n}\n\nconst A: u8 = 1;"
    parsed = parse(text, "text/x-source; language=rust")
    assert [(block.line, block.heading) for block in parsed.blocks] == [
        (1, ()),
        (3, ("Lease",)),
        (7, ("Lease",)),
        (12, ()),
    ]


def test_other_sources_are_one_block():
    assert outline(parse("a: 1\nb:\n  - 2\n", "text/x-source; language=yaml")) == [(1, (), "a: 1\nb:\n  - 2\n")]


# -- HTML -------------------------------------------------------------------------------------------------------------

PAGE = """\
<!DOCTYPE html>
<html><head><title>Rent &amp; <b>leases</title>
<style>p { color: red }</style><script>if (a<b && c="</p>") document.write("<h1>no</h1>")</script>
</head><body>
<nav><ul><li>Home</li></ul></nav>
<!-- <p>not me</p>
-->
<h1>The
 lease</h1>
<p title="a > b">Gr&ouml;&szlig;e, 5&nbsp;&euro;:
  it <em>ends</em>
  when <a
     href="x">time</a> is up.<br>Next</p>
<h2>Table</h2>
<table><tr><th>flat<th>rent</tr>
<tr><td>1</td><td>900</td></tr></table>
<pre>
  two  spaces
</pre>
<footer>Imprint</footer>
</body></html>
"""


def test_html_gives_the_text_a_visitor_reads_at_the_lines_of_the_source():
    parsed = parse(PAGE, "text/html")
    assert parsed.title == "Rent & <b>leases"
    assert outline(parsed) == [
        (8, ("The lease",), "The\nlease"),
        (10, ("The lease",), "Größe, 5\xa0€:\nit ends\nwhen\ntime is up. Next"),
        (14, ("The lease", "Table"), "Table"),
        (15, ("The lease", "Table"), "flat | rent"),
        (16, ("The lease", "Table"), "1 | 900"),
        (18, ("The lease", "Table"), "  two  spaces"),
    ]


def test_a_page_that_forgets_to_close_its_navigation_is_still_read():
    parsed = parse("<nav><a>Home</a><p>All the text", "text/html")
    assert [block.text for block in parsed.blocks] == ["Home", "All the text"]
    assert "navigation" in parsed.notes[0]


def test_html_entities_for_characters_that_cannot_be_stored_are_replaced():
    assert parse("<p>a&#0;b&#xD800;c&#10;d", "text/html").blocks[0].text == "a\ufffdb\ufffdc d"


def test_a_less_than_sign_in_running_text_is_text():
    assert (
        parse("<p>a < b and 1 <2 <a href='unclosed", "text/html").blocks[0].text == "a < b and 1 <2 <a href='unclosed"
    )


@pytest.mark.parametrize("pattern", ["<a ", "<", "<!--", '<a b="" ', "<p>", "<script>", "</", '<a b="', "<!", "&amp"])
def test_hostile_html_is_read_in_one_pass(pattern):
    """Method: the time limit of the suite; a quadratic scan of this much would take hours."""
    parse(pattern * 200_000 + 'c=">"', "text/html")


# -- tables -----------------------------------------------------------------------------------------------------------


def test_csv_rows_stand_below_their_header_and_quoted_newlines_keep_the_lines_right():
    parsed = parse('flat,tenant\n1,"Ada\nLovelace"\n\n2,"Say ""hi"""\n', "text/csv")
    assert outline(parsed) == [(1, ("flat | tenant",), 'flat | tenant\n1 | Ada\nLovelace\n\n2 | Say "hi"')]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_the_one_the_lines_agree_on(delimiter):
    text = "\n".join(delimiter.join(row) for row in [("flat", "rent"), ("1", "900,50"), ("2", "1,000")])
    assert parse(text, "text/csv").blocks[0].text == "flat | rent\n1 | 900,50\n2 | 1,000"


def test_a_table_of_numbers_has_no_header():
    assert parse("1,2\n3,4\n", "text/csv").blocks[0].heading == ()


def test_a_quote_that_is_never_closed_makes_lines_of_the_table():
    text = 'a,b\n1,"open\n' + "2,some words\n" * 20_000
    parsed = parse(text, "text/csv")
    assert parsed.blocks[0].text == text
    assert "plain lines" in parsed.notes[0]


def test_a_wide_and_ragged_table_keeps_all_cells():
    parsed = parse(",".join(f"column{at}" for at in range(5000)) + "\n1,2,3\n", "text/csv")
    assert "column4999" in parsed.blocks[0].text
    assert len(parsed.blocks[0].heading[0]) <= 200


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_json_says_its_values_at_their_lines():
    text = '{\n  "name": "Ada",\n  "tags": ["a", "b"],\n\n  "born": 1815,\n  "ok": true\n}\n'
    assert outline(parse(text, "application/json")) == [
        (2, (), "name: Ada"),
        (3, ("tags",), "tags: a, b"),
        (5, (), "born: 1815\nok: true"),
    ]


def test_records_of_an_array_are_blocks():
    text = '[\n {"id": 1, "say": "hi"},\n {"id": 2,\n  "in": {"x": null}}\n]'
    assert outline(parse(text, "application/json")) == [(2, (), "id: 1, say: hi"), (3, (), "id: 2\nin: x: null")]
    inside = json.dumps({"flats": [{"rent": 1}, {"rent": 2}], "city": "Ulm"}, indent=1)
    assert outline(parse(inside, "application/json")) == [
        (2, ("flats",), "flats:\n\nrent: 1"),
        (7, ("flats",), "rent: 2"),
        (10, (), "city: Ulm"),
    ]


def test_escapes_are_read_and_never_add_lines():
    parsed = parse(r'["caf\u00e9 \ud83d\ude00", "two\nlines \"q\"", "\u0000\ud800"]', "application/json")
    assert parsed.blocks[0].text == 'café 😀, two lines "q", \ufffd'


@pytest.mark.parametrize("media_type", ["application/json", "application/jsonl"])
def test_json_lines_are_one_block_a_line_whatever_the_file_is_called(media_type):
    parsed = parse('{"id": 1}\n\n{"id": 2, "t": ["x", "y"]}\n', media_type)
    assert [(block.line, block.text) for block in parsed.blocks] == [(1, "id: 1"), (3, "id: 2, t: x, y")]


@pytest.mark.parametrize("media_type", ["application/json", "application/jsonl"])
def test_a_cut_off_log_keeps_its_damaged_line_as_text(media_type):
    parsed = parse('{"id": 1}\n{"id": 2}\n{"id": 3, "te', media_type)
    assert [block.text for block in parsed.blocks] == ["id: 1", "id: 2", '{"id": 3, "te']
    assert parsed.notes == ("1 lines are not JSON and were read as text",)


@pytest.mark.parametrize(
    "text", ['{"a": 1', "[1, 2", "{]", '{"a" 1}', '{"a":}', "[1 2]", "]", "nope", '"open', '["\\q"]', "{1: 2}", "01x"]
)
def test_damaged_json_fails_with_a_remedy(text):
    with pytest.raises(StepError) as failed:
        parse(text, "application/json")
    assert (failed.value.reason, failed.value.error_class) == ("damaged", ErrorClass.PERMANENT)
    assert "line 1" in failed.value.detail
    assert failed.value.remedy


def test_comments_and_trailing_commas_are_forgiven():
    parsed = parse('{\n  // why\n  "a": [1, 2,],\n  /* two\n lines */ "b": "//no",\n}', "application/json")
    assert [block.line for block in parsed.blocks] == [2, 3, 4]
    assert parsed.blocks[2].text == "/* two\n lines */, b: //no"


def test_deep_nesting_is_read_and_exhausts_nothing():
    depth = 100_000
    assert parse("[" * depth + '"deep"' + "]" * depth, "application/json").blocks[0].text == "deep"
    with pytest.raises(StepError):
        parse("[" * depth, "application/json")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    ),
    st.sampled_from([None, 1]),
)
def test_whatever_json_writes_is_read(value, indent):
    parse(json.dumps(value, indent=indent), "application/json")
    parse(json.dumps(value, ensure_ascii=False, indent=indent), "application/json")


# -- size -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "media_type"),
    [
        ("# a\n" * 40_000, "text/markdown"),
        ("```\n" * 40_000, "text/markdown"),
        ("> q\n" + "-\n=\n" * 40_000, "text/markdown"),
        ("def a():0\n" * 40_000, PYTHON),
        ("<p>a\n" * 40_000, "text/html"),
        ("<p>a" * 40_000, "text/html"),
        ("<h2>a</h2>b\n" * 40_000, "text/html"),
        ("[" + "[1],\n" * 40_000 + "[1]]", "application/json"),
        ("[1]\n" * 40_000, "application/jsonl"),
        ("[" + "1," * 40_000 + "1]", "application/json"),
    ],
)
def test_a_file_of_very_many_tiny_parts_makes_few_blocks_at_the_right_lines(text, media_type):
    """A block costs some 300 bytes whatever it holds; a 100 MB file of them must not fill the memory."""
    parsed = parse(text, media_type)
    lines = text.split("\n")
    assert len(parsed.blocks) <= 20_001
    for block in parsed.blocks[-50:]:
        first, last = block.text.split("\n")[0], block.text.split("\n")[-1]
        assert first[:1] in lines[block.line - 1]
        assert last[-1:] in lines[block.line - 1 + block.text.count("\n")]
